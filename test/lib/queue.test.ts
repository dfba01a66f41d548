import { setImmediate as tick } from 'node:timers/promises'
import t from 'tap'
import { boundedQueue } from '../../lib/queue.ts'

const full = () => new Error('full')

t.test('so many run, so many wait, one more is refused', async t => {
  const run = boundedQueue({ running: 2, waiting: 3 }, full)
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
  const begun: number[] = []
  const jobs = gates.map(({ promise }, i) =>
    run(() => {
      begun.push(i)
      return promise
    })
  )

  await t.rejects(
    run(async () => t.fail('ran')),
    /full/
  )
  t.strictSame(begun, [0, 1])
  for (const [i, { resolve }] of gates.entries()) {
    resolve()
    await jobs[i]
    await tick()
    t.strictSame(begun, [0, 1, 2, 3, 4].slice(0, i + 3), 'in the order of arrival')
  }
  t.equal(await run(async () => 'free again'), 'free again')
})

t.test('a job that fails makes way like any other', async t => {
  const run = boundedQueue({ running: 1, waiting: 0 }, full)
  await t.rejects(
    run(() => Promise.reject(new Error('broken'))),
    /broken/
  )
  t.equal(await run(async () => 1), 1)
})
