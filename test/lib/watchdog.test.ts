import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { createWatchdog } from '../../lib/watchdog.ts'
import { until } from '../support/until.ts'

const tickMs = 10

function pause(ms: number) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

t.test(
  'a watchdog is silent after a pause of its own process, and reports missing resets',
  async t => {
    let reports = 0
    const watchdog = createWatchdog(tickMs, 2, () => reports++)
    pause(10 * tickMs)
    await nextTurn()
    t.equal(reports, 0)
    await until(() => reports >= 2)
    watchdog.stop()
  }
)

t.test('a watchdog that is reset reports nothing', async t => {
  let reports = 0
  let resets = 0
  const watchdog = createWatchdog(tickMs, 3, () => reports++)
  const timer = setInterval(() => {
    watchdog.reset()
    resets++
  }, tickMs)
  await until(() => resets >= 20)
  clearInterval(timer)
  watchdog.stop()
  t.equal(reports, 0)
})
