import { isForGood } from './signed-out.ts'
import type { Storage } from './storage.ts'
import type { Clock, LogLine, Me, SignedOutReason } from './types.ts'

const timeoutMs = 5000

/** Stores who is signed in, in the order of the calls. A storage that fails does not end a session. */
export function createStoredUser(storage: Storage, clock: Clock, log: (line: LogLine) => void) {
  let stored: Promise<unknown> = Promise.resolve()

  return {
    enter(me: Me) {
      write(() => storage.setLastUser(me))
      write(() => storage.deleteOthers(me.id))
    },

    leave(userId: string, reason: SignedOutReason) {
      // After an expiry, the next start opens the stored operations of the same user, and requires a sign-in.
      if (reason !== 'expired') write(() => storage.setLastUser(null))
      if (!isForGood(reason)) return
      if (userId) write(() => storage.delete(userId))
      write(() => storage.deleteOthers(userId))
    },

    /** Resolves when all has been stored, or has failed. */
    settled: () => stored
  }

  function write(run: () => Promise<void>) {
    stored = stored
      .then(
        () =>
          new Promise<void>((resolve, reject) => {
            const fail = () => reject(new Error('the storage did not respond'))
            const stop = clock.setTimeout(fail, timeoutMs)
            run().then(resolve, reject).finally(stop)
          })
      )
      .catch(error => log({ level: 'warn', message: 'storing the session failed', error }))
  }
}
