import { type DBSchema, deleteDB, type IDBPDatabase, openDB } from 'idb'
import { type Entry, oldestToDelete, type Storage, type Store } from './storage.ts'
import type { ChecklistData, Me } from './types.ts'

/** One database for all users: the last user, and the ids of those who have a database of their own. */
interface UsersSchema extends DBSchema {
  users: { key: string; value: Me | null }
}

interface UserSchema extends DBSchema {
  entries: { key: number; value: Entry }
  checklists: {
    key: string
    value: { id: string; savedAt: number; checklist: ChecklistData }
    indexes: { savedAt: number }
  }
}

const LAST_USER = 'last'

/** Returns a storage in the IndexedDB of a browser: one database for each user, and `name` for their ids. */
export function indexedDbStorage(name = 'concord'): Storage {
  const users = connect<UsersSchema>(name, db => {
    db.createObjectStore('users')
  })
  const nameOf = (userId: string) => `${name}-${userId}`

  return {
    lastUser: async () => (await users.read(db => db.get('users', LAST_USER))) ?? null,

    async setLastUser(user) {
      await users.read(db => db.put('users', user, LAST_USER))
    },

    async open(userId) {
      await users.read(db => db.put('users', null, userId))
      return openStore(nameOf(userId))
    },

    delete: remove,

    async deleteOthers(userId) {
      const ids = await users.read(db => db.getAllKeys('users'))
      for (const id of ids) if (id !== userId && id !== LAST_USER) await remove(id)
    }
  }

  async function remove(userId: string) {
    const database = nameOf(userId)
    // A frozen tab can block the deletion of the database, but not that of its rows.
    const user = connectUser(database)
    await user.write(tx => {
      tx.objectStore('entries').clear()
      return tx.objectStore('checklists').clear()
    })
    user.close()
    await new Promise<void>((resolve, reject) => {
      deleteDB(database, { blocked: () => resolve() }).then(resolve, reject)
    })
    await users.read(db => db.delete('users', userId))
  }
}

async function openStore(database: string): Promise<Store> {
  const { read, write, close } = connectUser(database)
  await read(async () => {})
  let savedAt = 0
  /** whether the browser was requested to keep the data when the disk is full */
  let isPersistent = false

  return {
    // The rows are in the order of their key.
    entries: () => read(db => db.getAll('entries')),

    append(checklistId, op, combine) {
      if (!isPersistent) globalThis.navigator?.storage?.persist?.().catch(() => {})
      isPersistent = true
      return write(async tx => {
        const rows = tx.objectStore('entries')
        const last = combine && (await rows.get(combine.seq))
        if (combine && last && !last.isSent && last.op.opId === combine.opId) {
          if (!combine.into) {
            await rows.delete(last.seq)
            return { removed: last.seq }
          }
          const entry = { ...last, op: combine.into }
          await rows.put(entry)
          return { entry }
        }
        const entry = { checklistId, op, isSent: false }
        const seq = await rows.add(entry as Entry)
        return { entry: { ...entry, seq } }
      })
    },

    markSent: seqs =>
      write(async tx => {
        const rows = tx.objectStore('entries')
        const found = await Promise.all(seqs.map(seq => rows.get(seq)))
        const sent = found.flatMap(entry => (entry ? { ...entry, isSent: true } : []))
        await Promise.all(sent.map(entry => rows.put(entry)))
        return sent
      }),

    remove: seqs =>
      write(async tx => {
        await Promise.all(seqs.map(seq => tx.objectStore('entries').delete(seq)))
      }),

    checklist: async id => (await read(db => db.get('checklists', id)))?.checklist,

    saveChecklist: checklist =>
      write(async tx => {
        const rows = tx.objectStore('checklists')
        savedAt = Math.max(savedAt + 1, Date.now())
        await rows.put({ id: checklist.id, savedAt, checklist })
        let many = oldestToDelete(await rows.count())
        let cursor = many > 0 ? await rows.index('savedAt').openCursor() : null
        for (; cursor && many > 0; many--) {
          await cursor.delete()
          cursor = await cursor.continue()
        }
      }),

    removeChecklist: id => read(db => db.delete('checklists', id)),

    close
  }
}

function begin(db: IDBPDatabase<UserSchema>) {
  return db.transaction(['entries', 'checklists'], 'readwrite')
}

function connectUser(database: string) {
  const connection = connect<UserSchema>(database, db => {
    db.createObjectStore('entries', { keyPath: 'seq', autoIncrement: true })
    db.createObjectStore('checklists', { keyPath: 'id' }).createIndex('savedAt', 'savedAt')
  })
  return {
    ...connection,
    /** Runs `work` in one transaction. Resolves after the commit. */
    write: <T>(work: (tx: ReturnType<typeof begin>) => Promise<T>) =>
      connection.read(async db => {
        const tx = begin(db)
        const [result] = await Promise.all([work(tx), tx.done])
        return result
      })
  }
}

/**
 * Returns functions that use one database, which is opened when it is first used. Browsers close connections without a
 * reason (for example Safari, when a page returns from the background), so a failed use is tried again with a new
 * connection. When another tab deletes or upgrades the database, all later uses fail.
 */
function connect<Schema extends DBSchema>(
  name: string,
  create: (db: IDBPDatabase<Schema>) => void
) {
  let connection: Promise<IDBPDatabase<Schema>> | undefined
  let isClosed = false

  return { read, close }

  async function read<T>(use: (db: IDBPDatabase<Schema>) => Promise<T>): Promise<T> {
    try {
      return await use(await open())
    } catch (error) {
      if (isClosed || (error as Error).name === 'QuotaExceededError') throw error
      disconnect()
      return use(await open())
    }
  }

  function open(): Promise<IDBPDatabase<Schema>> {
    if (isClosed) return Promise.reject(new Error('the database is closed'))
    connection ??= openDB<Schema>(name, 1, {
      upgrade: create,
      blocking: close,
      terminated: disconnect
    })
    return connection
  }

  function close() {
    isClosed = true
    disconnect()
  }

  function disconnect() {
    connection?.then(
      db => db.close(),
      () => {}
    )
    connection = undefined
  }
}
