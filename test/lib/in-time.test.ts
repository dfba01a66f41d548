import t from 'tap'
import { inTime } from '../../lib/in-time.ts'

t.test('passes on what comes in time, and says so when nothing does', async t => {
  t.equal(await inTime(Promise.resolve(7), 60_000), 7)
  await t.rejects(inTime(Promise.reject(new Error('no')), 60_000), { message: 'no' })
  await t.rejects(inTime(new Promise(() => {}), 1), { message: 'no answer within 1 ms' })
})

t.test('what fails too late is nobody’s trouble', async t => {
  const late = Promise.withResolvers<never>()
  await t.rejects(inTime(late.promise, 1))
  late.reject(new Error('unheard'))
})
