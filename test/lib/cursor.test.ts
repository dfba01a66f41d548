import fc from 'fast-check'
import t from 'tap'
import { formatCursor, parseCursor } from '../../lib/cursor.ts'

t.test('a formatted cursor is printable ASCII and parses to the same cursor', async t => {
  const digits = fc.stringMatching(/^[0-9a-f]{12}$/)
  const positions = fc.integer({ min: 0, max: 2 ** 51 })
  fc.assert(
    fc.property(digits, positions, (epoch, pos) => {
      const text = formatCursor({ epoch, pos })
      t.match(text, /^[\x21-\x7e]+$/)
      t.strictSame(parseCursor(text), { epoch, pos })
    })
  )
})

t.test('text that is not a cursor parses to null', async t => {
  const wrong = [
    '',
    '.',
    'ce98dd9f6b7a',
    'ce98dd9f6b7a.',
    '.1',
    'ce98dd9f6b7a.-1',
    'CE98DD9F6B7A.1',
    'ce98dd9f6b7a.1 ',
    'ce98dd9f6b7a.1\n',
    'ce98dd9f6b7a.1.1',
    `ce98dd9f6b7a.${'z'.repeat(11)}`
  ]
  for (const text of wrong) t.equal(parseCursor(text), null, JSON.stringify(text))
  fc.assert(fc.property(fc.string(), text => parseCursor(text) === null))
})
