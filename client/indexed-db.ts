import { connect, resultOf } from './database.ts'
import { combineEntry, oldestToDelete, type Storage, type Store } from './storage.ts'

const LAST_USER = 'last'
/** the row with the projects: a store of their own would need another version of each database */
const PROJECTS = 'projects'

/** Returns a storage in the IndexedDB of a browser: one database for each user, and `name` for their ids. */
export function indexedDbStorage(name = 'concord'): Storage {
  /** the last user, and the ids of those who have a database of their own */
  const users = connect(name, db => db.createObjectStore('users'))
  const inUsers = <T>(mode: IDBTransactionMode, use: (rows: IDBObjectStore) => IDBRequest<T>) =>
    users.transact(mode, stores => resultOf(use(stores('users'))))
  const nameOf = (userId: string) => `${name}-${userId}`

  return {
    lastUser: async () => (await inUsers('readonly', rows => rows.get(LAST_USER))) ?? null,

    async setLastUser(user) {
      await inUsers('readwrite', rows => rows.put(user, LAST_USER))
    },

    async open(userId) {
      await inUsers('readwrite', rows => rows.put(null, userId))
      return openStore(nameOf(userId))
    },

    delete: remove,

    async deleteOthers(userId) {
      const ids = (await inUsers('readonly', rows => rows.getAllKeys())) as string[]
      for (const id of ids) if (id !== userId && id !== LAST_USER) await remove(id)
    }
  }

  async function remove(userId: string) {
    const database = nameOf(userId)
    // A frozen tab can block the deletion of the database, but not that of its rows.
    const user = connectUser(database)
    await user.transact('readwrite', async stores => {
      for (const name of ['entries', 'checklists']) stores(name).clear()
    })
    user.close()
    const request = indexedDB.deleteDatabase(database)
    await new Promise<unknown>((resolve, reject) => {
      request.onblocked = resolve
      resultOf(request).then(resolve, reject)
    })
    await inUsers('readwrite', rows => rows.delete(userId))
  }
}

async function openStore(database: string): Promise<Store> {
  const { transact, close } = connectUser(database)
  await transact('readonly', async () => {})
  let savedAt = 0
  /** whether the browser was requested to keep the data when the disk is full */
  let isPersistent = false

  return {
    // The rows are in the order of their key.
    entries: () => transact('readonly', stores => resultOf(stores('entries').getAll())),

    append(checklistId, op, combine) {
      if (!isPersistent) globalThis.navigator?.storage?.persist?.().catch(() => {})
      isPersistent = true
      return transact('readwrite', async stores => {
        const rows = stores('entries')
        const last = combine && (await resultOf(rows.get(combine.seq)))
        const combined = combineEntry(last, combine)
        if (combined === null) {
          await resultOf(rows.delete(last.seq))
          return { removed: last.seq }
        }
        const entry = combined ?? { checklistId, op, version: 0, isSent: false }
        const seq = (await resultOf(combined ? rows.put(entry) : rows.add(entry))) as number
        return { entry: { ...entry, seq } }
      })
    },

    markSent: seqs =>
      transact('readwrite', async stores => {
        const rows = stores('entries')
        const found = await Promise.all(seqs.map(seq => resultOf(rows.get(seq))))
        const sent = found.flatMap(entry => (entry ? { ...entry, isSent: true } : []))
        await Promise.all(sent.map(entry => resultOf(rows.put(entry))))
        return sent
      }),

    remove: seqs =>
      transact('readwrite', async stores => {
        for (const seq of seqs) stores('entries').delete(seq)
      }),

    checklist: async id =>
      (await transact('readonly', stores => resultOf(stores('checklists').get(id))))?.checklist,

    saveChecklist: checklist =>
      transact('readwrite', async stores => {
        const rows = stores('checklists')
        savedAt = Math.max(savedAt + 1, Date.now())
        rows.put({ id: checklist.id, savedAt, checklist })
        const many = oldestToDelete(await resultOf(rows.index('savedAt').count()))
        // Without a limit, that is with 0, `getAllKeys` returns all.
        const ids = many > 0 ? await resultOf(rows.index('savedAt').getAllKeys(null, many)) : []
        for (const id of ids) rows.delete(id)
      }),

    removeChecklist: id =>
      transact('readwrite', async stores => {
        stores('checklists').delete(id)
      }),

    projects: async () =>
      (await transact('readonly', stores => resultOf(stores('checklists').get(PROJECTS))))
        ?.projects,

    saveProjects: projects =>
      transact('readwrite', async stores => {
        // Without `savedAt`, the row does not count as a checklist.
        stores('checklists').put({ id: PROJECTS, projects })
      }),

    close
  }
}

const connectUser = (database: string) =>
  connect(database, db => {
    db.createObjectStore('entries', { keyPath: 'seq', autoIncrement: true })
    db.createObjectStore('checklists', { keyPath: 'id' }).createIndex('savedAt', 'savedAt')
  })
