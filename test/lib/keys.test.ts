import t from 'tap'
import { deriveKeys } from '../../lib/keys.ts'

t.test('a ring keeps its order, and each secret gives keys of its own', async t => {
  const ring = deriveKeys(['one', 'two'])
  t.strictSame(
    ring.map(({ access }) => access),
    ['one', 'two']
  )
  t.equal(new Set(ring.flatMap(({ kid, refresh }) => [kid, refresh.toString('hex')])).size, 4)
  t.strictSame(ring, deriveKeys(['one', 'two']), 'the same on every node')
})

t.test('the public name of a key tells nothing of it', async t => {
  const [{ kid, refresh }] = deriveKeys(['one'])
  t.match(kid, /^[\w-]{8}$/)
  t.notOk(refresh.toString('base64url').includes(kid))
})

t.test('an empty ring is refused', async t => {
  t.throws(() => deriveKeys([]), /needs a secret/)
})
