import fc from 'fast-check'
import t from 'tap'
import { type BufferedEvent, createRingBuffer } from '../../lib/ring-buffer.ts'

const events = (...positions: number[]) => positions.map(pos => ({ pos, bytes: 1 }))

t.test('the ring buffer returns events after a position, null below its floor', async t => {
  const ring = createRingBuffer({ max: 3, maxBytes: 100 })
  ring.reset(10)
  for (const event of events(11, 15, 16)) ring.push(event)
  t.strictSame(ring.after(10, 9), events(11, 15, 16))
  t.strictSame(ring.after(12, 9), events(15, 16), 'positions have gaps')
  t.strictSame(ring.after(10, 2), events(11, 15), 'at most two events')
  t.strictSame(ring.after(99, 9), [])
  t.equal(ring.after(9, 9), null, 'the position is below the floor')
  ring.push({ pos: 17, bytes: 1 })
  t.equal(ring.after(10, 9), null, 'event 11 was dropped')
  t.strictSame(ring.after(11, 9), events(15, 16, 17))
})

t.test('the ring buffer drops old events beyond its limits', async t => {
  const ring = createRingBuffer({ max: 10, maxBytes: 100 })
  for (const pos of [1, 2, 3]) ring.push({ pos, bytes: 40 })
  t.strictSame(ring.stats, { events: 2, bytes: 80, floor: 1 })
  ring.push({ pos: 4, bytes: 1000 })
  t.strictSame(
    ring.stats,
    { events: 0, bytes: 0, floor: 4 },
    'an event larger than maxBytes is not kept'
  )
  t.equal(ring.after(3, 9), null)
  t.strictSame(ring.after(4, 9), [])
})

t.test('the ring buffer takes older events as long as there is room for all of them', async t => {
  const ring = createRingBuffer({ max: 5, maxBytes: 100 })
  ring.reset(10)
  for (const event of events(11, 12, 13)) ring.push(event)
  t.equal(ring.prepend(events(4, 8), 3), true)
  t.strictSame(ring.after(3, 9), events(4, 8, 11, 12, 13))
  t.equal(ring.after(2, 9), null)
  t.equal(ring.prepend(events(3), 2), false, 'too many events')
  t.strictSame(ring.stats, { events: 5, bytes: 5, floor: 3 })
  ring.push({ pos: 14, bytes: 1 })
  ring.push({ pos: 15, bytes: 1 })
  t.strictSame(ring.stats, { events: 5, bytes: 5, floor: 8 }, 'the oldest events are dropped first')
  ring.reset(20)
  t.equal(ring.prepend([{ pos: 19, bytes: 101 }], 18), false, 'too many bytes')
  t.equal(ring.prepend([], 15), true, 'there is no event between two positions')
  t.strictSame(ring.after(15, 9), [])
})

t.test('the ring buffer returns the same events as a plain array', async t => {
  const step = fc.record({
    gap: fc.integer({ min: 1, max: 3 }),
    bytes: fc.integer({ min: 1, max: 60 })
  })
  const property = fc.property(
    fc.array(step, { maxLength: 3000 }),
    fc.integer({ min: 1, max: 50 }),
    fc.integer({ min: 0, max: 10_000 }),
    fc.integer({ min: 1, max: 40 }),
    (steps, max, asked, limit) => {
      const ring = createRingBuffer<BufferedEvent>({ max, maxBytes: 1000 })
      const model: BufferedEvent[] = []
      let [pos, floor] = [0, 0]
      for (const { gap, bytes } of steps) {
        pos += gap
        const event = { pos, bytes }
        ring.push(event)
        model.push(event)
        while (model.length > max || model.reduce((sum, one) => sum + one.bytes, 0) > 1000) {
          floor = model.shift()?.pos as number
        }
      }
      const from = asked % (pos + 2)
      const expected = from < floor ? null : model.filter(one => one.pos > from).slice(0, limit)
      t.strictSame(ring.after(from, limit), expected)
    }
  )
  fc.assert(property, { numRuns: 60 })
})
