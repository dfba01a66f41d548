import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { createBatch } from '../../lib/batch.ts'

t.test('a batch uncorks its stream after the tick or on flush', async t => {
  const calls: string[] = []
  const batch = createBatch({ cork: () => calls.push('cork'), uncork: () => calls.push('uncork') })
  batch.begin()
  batch.begin()
  t.strictSame(calls, ['cork'])
  await nextTurn()
  t.strictSame(calls, ['cork', 'uncork'])
  batch.flush()
  batch.begin()
  batch.flush()
  await nextTurn()
  t.strictSame(calls, ['cork', 'uncork', 'cork', 'uncork'])
})
