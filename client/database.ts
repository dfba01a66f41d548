/** The object stores of a transaction by name. */
export type Stores = (name: string) => IDBObjectStore

/** Returns the result of a request to IndexedDB. */
export function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/**
 * Returns functions that use one database of IndexedDB, which is opened when it is first used. Browsers close connections
 * without a reason (for example Safari, when a page returns from the background), so a failed use is tried again with a
 * new connection. When another tab deletes or upgrades the database, all later uses fail.
 */
export function connect(name: string, create: (db: IDBDatabase) => void) {
  let connection: Promise<IDBDatabase> | undefined
  let isClosed = false

  return { transact, close }

  /** Runs `work` in one transaction over all object stores. Resolves after the commit. */
  async function transact<T>(
    mode: IDBTransactionMode,
    work: (stores: Stores) => Promise<T>
  ): Promise<T> {
    try {
      return await run(await open(), mode, work)
    } catch (error) {
      if (isClosed || (error as Error).name === 'QuotaExceededError') throw error
      disconnect()
      return run(await open(), mode, work)
    }
  }

  async function open(): Promise<IDBDatabase> {
    if (isClosed) throw new Error('the database is closed')
    connection ??= new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open(name, 1)
      request.onupgradeneeded = () => create(request.result)
      resultOf(request).then(resolve, reject)
    }).then(db => {
      db.onversionchange = close
      db.onclose = disconnect
      return db
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

async function run<T>(
  db: IDBDatabase,
  mode: IDBTransactionMode,
  work: (stores: Stores) => Promise<T>
): Promise<T> {
  const transaction = db.transaction([...db.objectStoreNames], mode)
  const committed = new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error ?? new Error('transaction aborted'))
  })
  const [result] = await Promise.all([work(name => transaction.objectStore(name)), committed])
  return result
}
