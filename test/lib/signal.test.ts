import t from 'tap'
import { createSignal } from '../../lib/signal.ts'

t.test('several notifications before a wait count once', async t => {
  const bell = createSignal()
  bell.ring()
  bell.ring()
  t.equal(await bell.rung(60_000), true)
  t.equal(await bell.rung(1), false)
})

t.test('a notification ends a pending wait', async t => {
  const bell = createSignal()
  const rung = bell.rung(60_000)
  bell.ring()
  t.equal(await rung, true)
  t.equal(await bell.rung(1), false, 'and is used up')
})
