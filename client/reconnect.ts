import { backoffDelay } from './backoff.ts'
import type { ConcordError } from './errors.ts'
import { type Readable, writable } from './readable.ts'
import type { Clock, LogLine } from './types.ts'

/**
 * closed: not wanted. connecting: the first try. open: usable. offline: a try has failed; `retryAt` is the time of the
 * next one in milliseconds since 1970, or null while a try is running.
 */
export interface ConnectionPhase {
  phase: 'closed' | 'connecting' | 'open' | 'offline'
  retryAt: number | null
}

export interface Reconnecting {
  readonly state: Readable<ConnectionPhase>
  /** Opens the connection and keeps it open; or closes it. */
  want(isWanted: boolean): void
  /** Ends the current wait, if any. */
  retryNow(): void
  /** Replaces the current connection, if any, by a new one at once. */
  restart(): void
}

// A connection that lives shorter counts as a failed try: a service that accepts and closes is not called in a loop.
const stableMs = 5000

const closed: ConnectionPhase = { phase: 'closed', retryAt: null }

/**
 * Runs one connection after another while it is wanted. `connect` resolves when its connection has ended, at once when
 * `signal` aborts, with the least time to wait in milliseconds; an error may have it as `retryAfterMs`. Without one, and
 * after several failures, the wait is random and grows with each failure.
 */
export function createReconnecting(
  { clock, log, name }: { clock: Clock; log: (line: LogLine) => void; name: string },
  connect: (signal: AbortSignal, onOpen: () => void) => Promise<number | undefined>
): Reconnecting {
  const state = writable(closed)
  let isWanted = false
  let isRunning = false
  let isUrgent = false
  let connection: AbortController | undefined
  let endWait = () => {}

  return {
    state,

    want(next) {
      if (next === isWanted) return
      isWanted = next
      if (isWanted) {
        state.set({ phase: 'connecting', retryAt: null })
        if (!isRunning) void run()
      } else {
        state.set(closed)
        connection?.abort()
        endWait()
      }
    },

    retryNow: () => endWait(),

    restart() {
      isUrgent = true
      connection?.abort()
      endWait()
    }
  }

  async function run() {
    isRunning = true
    for (let failures = 0; isWanted; ) {
      isUrgent = false
      connection = new AbortController()
      const { signal } = connection
      let openAt: number | undefined
      show(failures ? 'offline' : 'connecting')
      let delayMs: number | null | undefined
      try {
        delayMs = await connect(signal, () => {
          if (signal.aborted) return
          openAt = clock.now()
          show('open')
        })
      } catch (error) {
        delayMs = (error as Partial<ConcordError>).retryAfterMs
        if (!signal.aborted) log({ level: 'debug', message: `${name} closed`, error })
      }
      connection = undefined
      const isStable = openAt !== undefined && clock.now() - openAt > stableMs
      failures = isStable || signal.aborted ? 0 : failures + 1
      const isBackingOff = failures > 1 || typeof delayMs !== 'number'
      const leastMs = isBackingOff ? backoffDelay(Math.max(failures - 1, 0)) : 0
      if (isWanted && !isUrgent) await wait(Math.max(delayMs ?? 0, leastMs), failures)
    }
    isRunning = false
  }

  function wait(ms: number, failures: number): Promise<void> {
    show(failures ? 'offline' : 'connecting', Date.now() + ms)
    return new Promise(resolve => {
      const stop = clock.setTimeout(() => endWait(), ms)
      endWait = () => {
        stop()
        endWait = () => {}
        resolve()
      }
    })
  }

  function show(phase: ConnectionPhase['phase'], retryAt: number | null = null) {
    if (isWanted) state.set({ phase, retryAt })
  }
}
