// The script of the page that Chromium opens in the tests. Its globals are described in chromium.ts.
import { createClient, indexedDbStorage, memoryStorage } from '/client.js'

// Chromium logs a violation, too, but not what was blocked.
document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sample }) =>
  console.error(`CSP violation: ${violatedDirective} ${blockedURI} ${sample}`)
)

const lines = []
const pageShows = []
const revs = new Map()
const events = []

addEventListener('pageshow', ({ persisted }) => pageShows.push(persisted))

const client = createClient(undefined, {
  log: ({ level, message, ...fields }) => lines.push({ level, message, error: `${fields.error}` }),
  ...(globalThis.onStored && { storage: reportingStorage(globalThis.onStored) }),
  ...(globalThis.usesMemory && { storage: memoryStorage() }),
  ...(globalThis.isAlone && { tabs: false })
})

globalThis.concord = { client, lines, pageShows, events, open, when, databases, stored }

/** Opens a checklist and listens to events until the page ends. Returns the checklist. */
function open(id) {
  const list = client.checklist(id)
  if (!revs.has(id)) {
    revs.set(id, [])
    list.subscribe(() => {})
    list.on('change', ({ change }) => revs.get(id).push(change.rev))
    for (const type of ['item.added', 'item.updated', 'item.deleted', 'reset'])
      client.on(type, ({ type, rev }) => events.push({ type, rev }))
  }
  return Object.assign(list, { revs: revs.get(id) })
}

/** Resolves with a value as soon as it fulfils `condition`. */
function when(readable, condition, ms = 20_000) {
  return new Promise((resolve, reject) => {
    let unsubscribe = () => {}
    let isFound = false
    const timer = setTimeout(() => {
      unsubscribe()
      const value = JSON.stringify([readable.get(), client.session.get(), client.connection.get()])
      reject(new Error(`not within ${ms} ms: ${condition} for ${value} ${JSON.stringify(lines)}`))
    }, ms)
    unsubscribe = readable.subscribe(value => {
      if (isFound || !condition(value)) return
      isFound = true
      clearTimeout(timer)
      resolve(value)
      queueMicrotask(() => unsubscribe())
    })
  })
}

/** Returns all rows of a store in the database of a user, or in that of all users. */
async function stored(store, userId = '') {
  const names = (await indexedDB.databases()).map(({ name }) => name)
  const name = names.find(name => (userId ? name.endsWith(userId) : name.endsWith(location.host)))
  return name ? (await rowsOf(name))[store] : []
}

/** Returns all rows of all databases, by database and store. */
async function databases() {
  const all = {}
  for (const { name } of await indexedDB.databases()) all[name] = await rowsOf(name)
  return all
}

function rowsOf(name) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(name)
    opening.onerror = () => reject(opening.error)
    opening.onsuccess = () => {
      const db = opening.result
      const stores = [...db.objectStoreNames]
      const rows = {}
      if (stores.length === 0) return resolve(rows)
      const tx = db.transaction(stores)
      for (const store of stores) {
        tx.objectStore(store).getAll().onsuccess = ({ target }) => {
          rows[store] = target.result
        }
      }
      tx.oncomplete = () => {
        db.close()
        resolve(rows)
      }
    }
  })
}

/** Returns the storage of the client. Calls `onStored` with the id of each operation after its transaction. */
function reportingStorage(onStored) {
  const storage = indexedDbStorage(`concord ${location.origin}`)
  return {
    ...storage,
    async open(userId) {
      const store = await storage.open(userId)
      return {
        ...store,
        async append(...args) {
          const result = await store.append(...args)
          onStored(args[1].opId)
          return result
        }
      }
    }
  }
}
