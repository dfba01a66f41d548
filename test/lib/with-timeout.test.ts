import t from 'tap'
import { withTimeout } from '../../lib/with-timeout.ts'

t.test('withTimeout returns the result, or throws after the timeout', async t => {
  t.equal(await withTimeout(Promise.resolve(7), 60_000), 7)
  await t.rejects(withTimeout(Promise.reject(new Error('no')), 60_000), { message: 'no' })
  await t.rejects(withTimeout(new Promise(() => {}), 1), { message: 'timed out after 1 ms' })
})

t.test('a promise that rejects after its timeout causes no unhandled rejection', async t => {
  const late = Promise.withResolvers<never>()
  await t.rejects(withTimeout(late.promise, 1))
  late.reject(new Error('unheard'))
})
