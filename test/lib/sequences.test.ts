import t from 'tap'
import { createSequences } from '../../lib/sequences.ts'

t.test('isNext is true for the number after the last one', async t => {
  const { isNext } = createSequences(10)
  t.equal(isNext('a', 7), true, 'the first number')
  t.equal(isNext('a', 8), true)
  t.equal(isNext('b', 1), true)
  t.equal(isNext('a', 10), false, '9 is missing')
  t.equal(isNext('a', 10), false, 'twice')
  t.equal(isNext('a', 11), true)
})

t.test('the name that changed longest ago is forgotten', async t => {
  const { isNext } = createSequences(2)
  for (const name of ['a', 'b', 'a', 'c']) isNext(name, 1)
  t.equal(isNext('a', 5), false, 'remembered')
  t.equal(isNext('b', 5), true, 'forgotten')
})
