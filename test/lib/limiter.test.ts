import { setImmediate as tick } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { createLimiter } from '../../lib/limiter.ts'

const full = () => new Error('full')
const maxWaitMs = 60_000

/** Returns a function that creates jobs, which run until `end(name)`, and the names of the started jobs in order. */
function jobs() {
  const begun: string[] = []
  const gates = new Map<string, () => void>()
  return {
    begun,
    job: (name: string) => () => {
      begun.push(name)
      return new Promise<void>(resolve => gates.set(name, resolve))
    },
    async end(name: string) {
      gates.get(name)?.()
      await tick()
    }
  }
}

t.test('jobs beyond the limit wait in order, jobs beyond the queue reject', async t => {
  const run = createLimiter({ maxRunning: 2, maxWaiting: 3, maxWaitMs }, full)
  const { begun, job, end } = jobs()
  const all = ['a', 'b', 'c', 'd', 'e'].map(name => run(job(name)))
  await t.rejects(run(job('f')), /full/)
  t.equal(run.countWaiting(), 3)
  t.strictSame(begun, ['a', 'b'])
  for (const [n, name] of ['a', 'b', 'c', 'd', 'e'].entries()) {
    await end(name)
    await all[n]
    t.strictSame(begun, ['a', 'b', 'c', 'd', 'e'].slice(0, n + 3))
  }
  t.equal(await run(async () => 'free again'), 'free again')
})

t.test('a failed job frees its place in the limiter', async t => {
  const run = createLimiter({ maxRunning: 1, maxWaiting: 0, maxWaitMs }, full)
  await t.rejects(
    run(() => Promise.reject(new Error('broken'))),
    /broken/
  )
  t.equal(await run(async () => 1), 1)
})

t.test('a job is rejected when too many jobs of its key wait', async t => {
  const run = createLimiter({ maxRunning: 1, maxWaiting: 10, maxWaitingPerKey: 2, maxWaitMs }, full)
  const { begun, job, end } = jobs()
  const all = ['a1', 'a2', 'a3'].map(name => run(job(name), 'a'))
  await t.rejects(run(job('a4'), 'a'), /full/)
  all.push(run(job('b1'), 'b'))
  for (const name of ['a1', 'a2', 'b1', 'a3']) await end(name)
  await Promise.all(all)
  t.strictSame(begun, ['a1', 'a2', 'b1', 'a3'])
})

t.test('a job that waits too long is rejected and never runs', async t => {
  const run = createLimiter({ maxRunning: 1, maxWaiting: 5, maxWaitMs: 20 }, full)
  const { begun, job, end } = jobs()
  const first = run(job('a'), 'a')
  await t.rejects(run(job('b'), 'b'), /full/)
  await end('a')
  await first
  t.equal(await run(async () => 'free again', 'c'), 'free again')
  t.strictSame(begun, ['a'])
})

t.test('waiting keys take turns, jobs of one key run in order', async t => {
  const arrivals = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 60 })
  const property = fc.asyncProperty(arrivals, fc.integer({ min: 1, max: 5 }), fair)
  await fc.assert(property, { numRuns: 100 })

  async function fair(keys: string[], running: number) {
    const run = createLimiter({ maxRunning: running, maxWaiting: 100, maxWaitMs }, full)
    const { job, end, begun } = jobs()
    const blocked = Array.from({ length: running }, (_, n) => run(job(`first ${n}`)))
    const all = keys.map((key, n) => run(job(`${key} ${n}`), key))
    for (let n = 0; n < running + keys.length; n++) await end(begun[n] as string)
    await Promise.all([...blocked, ...all])

    const order = begun.slice(running).map(name => name.split(' ') as [string, string])
    t.equal(order.length, keys.length)
    const left = Map.groupBy(order, ([key]) => key)
    const served = new Map([...left.keys()].map(key => [key, 0]))
    for (const [key, n] of order) {
      const turn = served.get(key) as number
      t.equal(left.get(key)?.[turn]?.[1], n)
      served.set(key, turn + 1)
      for (const [other, count] of served) {
        const isDone = count === left.get(other)?.length
        if (!isDone && turn > count)
          t.fail(`${key} was served ${turn + 1} times, ${other} ${count}`)
      }
    }
    for (const some of left.values()) {
      const numbers = some.map(([, n]) => Number(n))
      t.strictSame(
        numbers,
        numbers.toSorted((a, b) => a - b)
      )
    }
  }
})

t.test('an aborted job that waits frees its place and never runs', async t => {
  const run = createLimiter({ maxRunning: 1, maxWaiting: 1, maxWaitMs: 60_000 }, full)
  const gate = Promise.withResolvers<void>()
  const first = run(() => gate.promise)
  const leaving = new AbortController()
  const second = run(async () => t.fail('the aborted job ran'), '', leaving.signal)
  leaving.abort(new Error('aborted'))
  await t.rejects(second, /aborted/)
  const third = run(async () => 'third')
  const fourth = run(async () => t.fail('the aborted job ran'), '', leaving.signal)
  await t.rejects(fourth, /aborted/)
  gate.resolve()
  await first
  t.equal(await third, 'third')
})
