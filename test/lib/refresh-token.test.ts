import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { deriveKeys } from '../../lib/keys.ts'
import { decodeRefreshToken, encodeRefreshToken } from '../../lib/refresh-token.ts'

const [first, second] = deriveKeys(['first'.repeat(8), 'second'.repeat(8)])
const token = { sessionId: randomUUID(), counter: 7 }

t.test('an encoded refresh token decodes to the same token', async t => {
  fc.assert(
    fc.property(fc.uuid(), fc.nat(2 ** 31 - 1), (sessionId, counter) => {
      const text = encodeRefreshToken({ sessionId, counter }, first)
      t.strictSame(decodeRefreshToken(text, [first]), { sessionId, counter })
    })
  )
})

t.test('a refresh token decodes only with the key that signed it', async t => {
  const text = encodeRefreshToken(token, first)
  t.match(text, /^[\w-]{71}$/)
  t.strictSame(decodeRefreshToken(text, [second as never, first]), token)
  t.equal(decodeRefreshToken(text, [second as never]), undefined)
  t.equal(decodeRefreshToken(text, []), undefined)
})

t.test('a refresh token with one changed character is invalid', async t => {
  const text = encodeRefreshToken(token, first)
  for (let at = 0; at < text.length; at++) {
    for (const other of ['A', 'B', '-', '_', 'z', '=', '%', '']) {
      if (other === text[at]) continue
      const forged = text.slice(0, at) + other + text.slice(at + 1)
      t.equal(decodeRefreshToken(forged, [first]), undefined)
    }
  }
})

t.test('a refresh token in any other spelling is invalid', async t => {
  const text = encodeRefreshToken(token, first)
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  // In base64, 53 bytes leave two bits of the last digit unused.
  const twin = text.slice(0, -1) + digits[digits.indexOf(text.slice(-1)) ^ 1]
  t.same(Buffer.from(twin, 'base64url'), Buffer.from(text, 'base64url'))
  for (const other of [twin, `${text}=`, ` ${text}`, `${text}\n`, `"${text}"`, `${text}A`]) {
    t.equal(decodeRefreshToken(other, [first]), undefined)
  }
})

t.test('random text is not a valid refresh token', async t => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      t.equal(decodeRefreshToken(text, [first]), undefined)
    })
  )
})
