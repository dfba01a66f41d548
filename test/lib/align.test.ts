import { diffArrays } from 'diff'
import fc from 'fast-check'
import t from 'tap'
import { align } from '../../lib/align.ts'

const tokens = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'toString', '__proto__'), {
  maxLength: 40
})

t.test('align matches as many tokens as possible, aligned from either end', async t => {
  fc.assert(
    fc.property(tokens, tokens, (base, text) => {
      const most = diffArrays(base, text).reduce(
        (sum, { added, removed, count }) => sum + (added || removed ? 0 : count),
        0
      )
      const { front = [], back = [] } = align(base, text) ?? {}
      return [front, back].every(matches => {
        const found = matches.filter(at => at >= 0)
        return (
          found.length === most &&
          matches.every((at, i) => at < 0 || base[i] === text[at]) &&
          found.every((at, i) => i === 0 || at > (found[i - 1] as number))
        )
      })
    })
  )
  t.pass()
})

t.test('align pairs a repeated token with its first and its last copy', async t => {
  t.strictSame(align(['a'], ['a', 'a']), { front: [0], back: [1] })
  t.strictSame(align(['a', 'a'], ['a']), { front: [0, -1], back: [-1, 0] })
  t.strictSame(align([], []), { front: [], back: [] })
})

t.test('align returns null for over 160 changed tokens in separate places', async t => {
  const numbers = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => `${from + i}`)
  t.equal(align(numbers(0, 81), numbers(100, 181)), null)
  t.ok(align(numbers(0, 80), numbers(100, 180)))
  t.ok(align(numbers(0, 100), numbers(0, 2_000)))
  t.ok(align(numbers(0, 2_000), []))
})
