import t from 'tap'
import { writable } from '../../client/readable.ts'

t.test('a subscriber receives the value at once and every change', async t => {
  const value = writable(1)
  const received: number[] = []
  const unsubscribe = value.subscribe(now => received.push(now))
  value.set(2)
  value.set(2)
  value.set(3)
  unsubscribe()
  unsubscribe()
  value.set(4)
  t.same(received, [1, 2, 3])
  t.equal(value.get(), 4)
})

t.test('the first subscriber starts and the last one stops', async t => {
  const calls: string[] = []
  const value = writable(1, () => {
    calls.push('start')
    return () => calls.push('stop')
  })
  const one = value.subscribe(() => {})
  const two = value.subscribe(() => {})
  one()
  one()
  t.same(calls, ['start'])
  two()
  value.subscribe(() => {})()
  t.same(calls, ['start', 'stop', 'start', 'stop'])
})

t.test('a subscriber that another one removes is not called', async t => {
  const value = writable(1)
  const received: number[] = []
  let remove = () => {}
  value.subscribe(now => now === 2 && remove())
  remove = value.subscribe(now => received.push(now))
  value.set(2)
  t.same(received, [1])
})

t.test('a subscriber that throws disturbs no other', async t => {
  const later: (() => void)[] = []
  t.intercept(globalThis, 'queueMicrotask', { value: (run: () => void) => later.push(run) })
  const value = writable(1)
  const received: number[] = []
  value.subscribe(now => {
    if (now === 2) throw new Error('a fault of the page')
  })
  value.subscribe(now => received.push(now))
  value.set(2)
  t.same(received, [1, 2])
  t.equal(later.length, 1)
  t.throws(() => later[0]?.(), { message: 'a fault of the page' })
})
