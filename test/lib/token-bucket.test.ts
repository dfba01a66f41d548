import fc from 'fast-check'
import t from 'tap'
import { createTokenBuckets } from '../../lib/token-bucket.ts'

t.test('a token bucket allows a burst, then limits calls to the rate', async t => {
  const buckets = createTokenBuckets({ rate: 20, burst: 100 })
  t.equal(buckets.take('a', 100, 5000, 0), 0)
  t.equal(buckets.take('a', 20, 5000, 0), 1000)
  t.equal(buckets.take('b', 1, 5000, 0), 0, 'every key has its own bucket')
  t.equal(buckets.take('a', 100, 5000, 0), 6000, 'too long to wait: nothing is taken')
  t.equal(buckets.take('a', 20, 5000, 0), 2000)
  t.equal(buckets.take('a', 100, 5000, 60_000), 0, 'the bucket is full again')
})

t.test('the tokens taken never exceed the burst plus the rate over time', async t => {
  const calls = fc.array(fc.tuple(fc.nat(100), fc.nat(3000)), { maxLength: 50 })
  fc.assert(
    fc.property(calls, steps => {
      const buckets = createTokenBuckets({ rate: 20, burst: 100 })
      let [now, taken] = [0, 0]
      for (const [count, pause] of steps) {
        now += pause
        if (buckets.take('a', count, 0, now) === 0) taken += count
        if (taken > 100 + (20 * now) / 1000 + 1e-6) return false
      }
      return true
    })
  )
  t.pass()
})
