import t from 'tap'
import { createTopics } from '../../lib/topics.ts'

t.test('a subscriber to several topics is returned once', async t => {
  const topics = createTopics<string>()
  topics.subscribe('a', 'Ann')
  topics.subscribe('b', 'Ann')
  topics.subscribe('b', 'Bob')
  t.strictSame([...topics.of(['a', 'b', 'c'])], ['Ann', 'Bob'])
  t.strictSame([...topics.all()], ['Ann', 'Bob'])
  t.strictSame(
    topics.setsOf(['c', 'b', 'a']).map(set => [...set]),
    [['Ann', 'Bob'], ['Ann']]
  )
})

t.test('the last unsubscribe removes the topic', async t => {
  const topics = createTopics<string>()
  const stops = [topics.subscribe('a', 'Ann'), topics.subscribe('a', 'Bob')]
  t.equal(topics.size, 1)
  for (const stop of stops) stop()
  t.equal(topics.size, 0)
  topics.subscribe('a', 'Cem')
  for (const stop of stops) stop()
  t.strictSame([...topics.of(['a'])], ['Cem'], 'a second unsubscribe changes nothing')
})

t.test('a later subscribe does not change subscribers already returned', async t => {
  const topics = createTopics<string>()
  topics.subscribe('a', 'Ann')
  const found = topics.of(['a'])
  topics.subscribe('a', 'Bob')
  t.strictSame([...found], ['Ann'])
})
