import { isPageVisible, onPageEvent } from './page.ts'
import type { Clock } from './types.ts'

const tickMs = 5000

/**
 * Calls `run` when the device or the page may have been suspended, or has another network: then connections may be dead
 * although no error was reported. Returns a function that stops.
 */
export function onWake(clock: Clock, run: () => void): () => void {
  const stops = ['visibilitychange', 'resume', 'online', 'pageshow'].map(type =>
    onPageEvent(type, () => isPageVisible() && run())
  )
  let stopTimer = () => {}
  tick()
  return () => {
    stopTimer()
    for (const stop of stops) stop()
  }

  // A timer that fires late. Some clocks that never jump stand still while the device sleeps, so read both.
  function tick() {
    const [now, date] = [clock.now(), Date.now()]
    stopTimer = clock.setTimeout(() => {
      const lateMs = Math.max(clock.now() - now, Date.now() - date)
      tick()
      if (lateMs > 2 * tickMs) run()
    }, tickMs)
  }
}
