import t from 'tap'
import { createSignal } from '../../lib/signal.ts'

t.test('several notifications before a wait end only one wait', async t => {
  const signal = createSignal()
  signal.notify()
  signal.notify()
  t.equal(await signal.wait(60_000), true)
  t.equal(await signal.wait(1), false)
})

t.test('a notification ends the pending wait', async t => {
  const signal = createSignal()
  const waiting = signal.wait(60_000)
  signal.notify()
  t.equal(await waiting, true)
  t.equal(await signal.wait(1), false, 'one notification ends one wait')
})
