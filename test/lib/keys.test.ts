import t from 'tap'
import { deriveKeys } from '../../lib/keys.ts'

t.test('deriveKeys keeps the order of the secrets and derives distinct keys', async t => {
  const ring = deriveKeys(['one', 'two'])
  t.strictSame(
    ring.map(({ access }) => access),
    ['one', 'two']
  )
  t.equal(
    new Set(ring.flatMap(({ kid, refresh }) => [kid, refresh.export().toString('hex')])).size,
    4
  )
  t.strictSame(ring, deriveKeys(['one', 'two']), 'the same secrets derive the same keys')
})

t.test('the public id of a key contains no part of the key', async t => {
  const [{ kid, refresh }] = deriveKeys(['one'])
  t.match(kid, /^[\w-]{8}$/)
  t.notOk(refresh.export().toString('base64url').includes(kid))
})

t.test('deriveKeys without a secret throws', async t => {
  t.throws(() => deriveKeys([]), /needs a secret/)
})
