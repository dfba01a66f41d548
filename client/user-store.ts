import type { Storage, Store } from './storage.ts'
import type { Clock } from './types.ts'

/** time after which a transaction counts as failed */
const transactionMs = 5_000

export type UserStore = ReturnType<typeof createUserStore>

/** Returns the store of one user, which is opened when it is first used, and again when that failed. */
export function createUserStore(storage: Storage, userId: string, clock: Clock) {
  let store: Promise<Store> | undefined
  let isClosed = false

  return {
    /** Runs one function of the store. Rejects when it fails or takes too long. */
    async use<T>(run: (opened: Store) => Promise<T>): Promise<T> {
      if (isClosed) throw new Error('the store is closed')
      store ??= storage.open(userId)
      const opening = store
      opening.catch(() => {
        if (store === opening) store = undefined
      })
      return withTimeout(opening.then(run))
    },

    close() {
      isClosed = true
      store?.then(
        opened => opened.close(),
        () => {}
      )
    }
  }

  /**
   * Rejects when a transaction takes too long: browsers have had faults in which it never ends. Waits in two steps,
   * because the first timer runs at once after the device was asleep.
   */
  function withTimeout<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let stop = clock.setTimeout(() => {
        stop = clock.setTimeout(
          () => reject(new Error('the storage did not respond')),
          transactionMs / 2
        )
      }, transactionMs / 2)
      promise.then(resolve, reject).finally(() => stop())
    })
  }
}
