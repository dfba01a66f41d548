import t from 'tap'
import { createWheel } from '../../lib/wheel.ts'
import { until } from '../helper.ts'

t.test('runs what is due, once, in the order of its time', async t => {
  const wheel = createWheel(5)
  t.teardown(wheel.stop)
  const ran: string[] = []
  wheel.after(60, () => ran.push('late'))
  wheel.after(0, () => ran.push('soon'))
  wheel.after(25, () => ran.push('later'))
  const stop = wheel.after(25, () => ran.push('called off'))
  stop()
  await until(() => ran.includes('late'))
  t.strictSame(ran, ['soon', 'later', 'late'])
})

t.test('never runs a task before its time', async t => {
  const wheel = createWheel(10)
  t.teardown(wheel.stop)
  const waits = [0, 1, 9, 10, 11, 35]
  const early: number[] = []
  let ran = 0
  for (const ms of waits) {
    const start = performance.now()
    wheel.after(ms, () => {
      ran++
      if (performance.now() - start < ms) early.push(ms)
    })
  }
  await until(() => ran === waits.length)
  t.strictSame(early, [])
})

t.test('a task may ask for another turn', async t => {
  const wheel = createWheel(5)
  t.teardown(wheel.stop)
  let count = 0
  const again = () => {
    if (++count < 3) wheel.after(0, again)
  }
  again()
  await until(() => count === 3)
})

t.test('a negative time is now', async t => {
  const wheel = createWheel(5)
  t.teardown(wheel.stop)
  let isDone = false
  wheel.after(-1e9, () => {
    isDone = true
  })
  await until(() => isDone)
})
