import { setImmediate as tick } from 'node:timers/promises'
import t from 'tap'
import { createLimiter } from '../../lib/limiter.ts'
import { createSharedReads } from '../../lib/shared-reads.ts'

/** Returns shared reads that end when `end` is called, and what was read so far. */
function setUp({ maxRunning = 1, max = 3, maxWaiting = 100 } = {}) {
  const begun: string[] = []
  const gates: PromiseWithResolvers<void>[] = []
  const limit = createLimiter(
    { maxRunning, maxWaiting, maxWaitMs: 60_000 },
    () => new Error('full')
  )
  const read = createSharedReads(
    limit,
    async (source, userIds) => {
      const n = begun.push(`${source}: ${userIds}`)
      const gate = Promise.withResolvers<void>()
      gates.push(gate)
      await gate.promise
      return userIds.map(user => (user === 'eve' ? new Error('no member') : `${user}, read ${n}`))
    },
    max
  )
  return {
    read,
    begun,
    waiting: limit.countWaiting,
    async end(n: number, error?: Error) {
      if (error) gates[n]?.reject(error)
      else gates[n]?.resolve()
      await tick()
    }
  }
}

t.test('one read serves the users who wait for the same source', async t => {
  const { read, begun, waiting, end } = setUp()
  const first = read('list', 'ann')
  const rest = Promise.allSettled(
    ['ann', 'bob', 'eve', 'cid', 'dan'].map(user => read('list', user))
  )
  const other = read('other list', 'bob')
  t.strictSame(begun, ['list: ann'])
  await end(0)
  t.equal(await first, 'ann, read 1')
  t.strictSame(begun.slice(1), ['list: ann,bob,eve'], 'a value is never read before the call')
  await end(1)
  t.strictSame(begun.slice(2), ['list: cid,dan'], 'at most three users a read')
  await end(2)
  t.match(await rest, [
    { value: 'ann, read 2' },
    { value: 'bob, read 2' },
    { reason: /no member/ },
    { value: 'cid, read 3' },
    { value: 'dan, read 3' }
  ])
  t.strictSame(begun.slice(3), ['other list: bob'])
  await end(3)
  t.equal(await other, 'bob, read 4')
  t.equal(waiting(), 0)
})

t.test('many sources of one user do not delay another user', async t => {
  const { read, begun, end } = setUp()
  for (let n = 1; n <= 50; n++) read(`list ${n}`, 'ann')
  const bob = read('list 40', 'bob')
  await end(0)
  await end(1)
  t.ok(begun.slice(0, 3).includes('list 40: bob,ann'), begun.join('; '))
  for (let n = 2; n < begun.length; n++) await end(n)
  t.match(await bob, /bob/)
  t.equal(begun.length, 50)
})

t.test('a read that fails rejects the users that it served', async t => {
  const { read, end } = setUp()
  const results = Promise.allSettled([read('a', 'ann'), read('b', 'bob'), read('b', 'cid')])
  await end(0, new Error('no connection'))
  await end(1, new Error('no connection either'))
  t.match(await results, [
    { reason: /no connection$/ },
    { reason: /no connection either/ },
    { reason: /no connection either/ }
  ])
})

t.test('a call that is aborted or refused while it waits is not read', async t => {
  const { read, begun, end } = setUp({ maxWaiting: 2 })
  const first = read('a', 'ann')
  const leaving = new AbortController()
  const aborted = read('b', 'bob', leaving.signal)
  const stays = read('b', 'bob')
  await t.rejects(read('c', 'cid'), /full/)
  leaving.abort(new Error('left'))
  await t.rejects(aborted, /left/)
  await end(0)
  await first
  t.strictSame(begun, ['a: ann', 'b: bob'])
  await end(1)
  t.equal(await stays, 'bob, read 2', 'another call of the same user is served')
  const last = read('c', 'dan')
  t.equal(begun.at(-1), 'c: dan', 'the refused user is not read')
  await end(2)
  await last
})
