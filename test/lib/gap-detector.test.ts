import t from 'tap'
import { createGapDetector } from '../../lib/gap-detector.ts'

t.test('the gap detector accepts consecutive numbers and rejects a gap', async t => {
  const { accept } = createGapDetector(10)
  t.equal(accept('a', 7), true, 'the first number of a sequence')
  t.equal(accept('a', 8), true)
  t.equal(accept('b', 1), true)
  t.equal(accept('a', 10), false, '9 is missing')
  t.equal(accept('a', 10), false, 'the same number again')
  t.equal(accept('a', 11), true)
})

t.test('the gap detector forgets the sequence that was used longest ago', async t => {
  const { accept } = createGapDetector(2)
  for (const name of ['a', 'b', 'a', 'c']) accept(name, 1)
  t.equal(accept('a', 5), false, 'a is still stored')
  t.equal(accept('b', 5), true, 'b is forgotten')
})
