import { backoffDelay } from './backoff.ts'
import type { ConcordError } from './errors.ts'
import { isTemporary } from './http.ts'
import type { Clock, LogLine } from './types.ts'

export interface RefreshTimerParts {
  clock: Clock
  log: (line: LogLine) => void
  /** Returns the time until the next refresh in milliseconds, or null when none is needed. */
  dueMs: () => number | null
  refresh: () => Promise<unknown>
}

/** Refreshes the access token when it is due, and again after a growing wait while that fails. */
export function createRefreshTimer({ clock, log, dueMs, refresh }: RefreshTimerParts) {
  let failures = 0
  let retryAfterMs = 0
  let stopTimer = () => {}
  return { run, schedule, restart, stop: () => stopTimer() }

  /** Forgets the failures. */
  function restart() {
    failures = 0
    schedule()
  }

  function schedule() {
    stopTimer()
    const due = dueMs()
    if (due === null) return
    const ms = failures > 0 ? Math.max(retryAfterMs, backoffDelay(failures)) : due
    stopTimer = clock.setTimeout(run, Math.max(0, ms))
  }

  function run() {
    stopTimer()
    refresh().catch((error: ConcordError) => {
      if (error.code === 'SIGNED_OUT' || dueMs() === null) return
      failures++
      retryAfterMs = error.retryAfterMs ?? 0
      const level = isTemporary(error) ? 'debug' : 'warn'
      log({ level, message: 'refreshing the access token failed', error })
      schedule()
    })
  }
}
