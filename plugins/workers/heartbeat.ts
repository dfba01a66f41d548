import type { ProcessChannel } from '../../lib/channel.ts'
import { createWatchdog } from '../../lib/watchdog.ts'

// The primary and each worker exchange a ping and a pong per second. A process that is silent for so many seconds is
// frozen: the primary kills such a worker, and a worker without a primary ends, because it receives no events.
const limits = { pingMs: 1000, maxSilentPings: 10 }

/**
 * Runs `onSilent` while the worker at the other end responds to no ping. Returns a function that stops the pings. Call
 * it when the worker has sent its first message: before that, it loads its modules, for how long depends on the machine.
 */
export function pingWorker(channel: ProcessChannel, onSilent: () => void): () => void {
  const watchdog = createWatchdog(limits.pingMs, limits.maxSilentPings, onSilent)
  channel.handle('pong', watchdog.reset)
  const timer = setInterval(() => channel.notify('ping'), limits.pingMs)
  return () => {
    clearInterval(timer)
    watchdog.stop()
  }
}

/** Responds to the pings of the primary. Runs `onSilent` when they stop. */
export function respondToPings(primary: ProcessChannel, onSilent: () => void): void {
  const watchdog = createWatchdog(limits.pingMs, limits.maxSilentPings, onSilent)
  primary.handle('ping', () => {
    watchdog.reset()
    primary.notify('pong')
  })
}
