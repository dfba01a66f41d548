/**
 * Calls `onSilent` when `reset()` has not been called for `maxTicks` ticks of `tickMs`, and again at each further tick.
 * Counts ticks and not time, because after a pause of this process (SIGSTOP, a suspended machine) only one tick passes:
 * the other process gets the time to respond.
 */
export function createWatchdog(tickMs: number, maxTicks: number, onSilent: () => void) {
  let ticks = 0
  const timer = setInterval(() => {
    if (++ticks > maxTicks) onSilent()
  }, tickMs)
  timer.unref()

  return {
    reset() {
      ticks = 0
    },
    stop: () => clearInterval(timer)
  }
}
