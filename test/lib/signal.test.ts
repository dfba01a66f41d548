import t from 'tap'
import { createSignal } from '../../lib/signal.ts'

t.test('rings that nobody waited for are one', async t => {
  const signal = createSignal()
  signal.notify()
  signal.notify()
  t.equal(await signal.wait(60_000), true)
  t.equal(await signal.wait(1), false)
})

t.test('a ring wakes who waits', async t => {
  const signal = createSignal()
  const rung = signal.wait(60_000)
  signal.notify()
  t.equal(await rung, true)
  t.equal(await signal.wait(1), false, 'and is used up')
})
