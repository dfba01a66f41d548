import { EventEmitter } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { createChannel } from '../../lib/channel.ts'

/** Returns the two ends of a connection that delivers messages as JSON. `hold()` keeps them back, as a frozen process. */
function connect() {
  const held: (() => void)[] = []
  let isHeld = false
  const ends = [createEnd(), createEnd()] as const
  for (const [n, end] of ends.entries()) {
    end.send = (message, onSent) => {
      const text = JSON.stringify(message)
      const deliver = () => {
        onSent(null)
        ends[1 - n]?.emit('message', JSON.parse(text))
      }
      if (isHeld) held.push(deliver)
      else setImmediate(deliver)
      return !isHeld
    }
  }
  return {
    ends,
    hold() {
      isHeld = true
    },
    release() {
      isHeld = false
      for (const deliver of held) deliver()
    }
  }
}

function createEnd() {
  return Object.assign(new EventEmitter(), {
    connected: true,
    send: (_message: unknown, _onSent: (error: null) => void): boolean => true
  })
}

t.test('a call returns the result of the other process, or rejects with its error', async t => {
  const { ends } = connect()
  const [one, other] = [createChannel(ends[0]), createChannel(ends[1])]
  other.handle('add', async (a: number, b: number) => a + b)
  other.handle('fail', () => {
    throw new Error('no')
  })
  t.strictSame(await Promise.all([one.call('add', 1, 2), one.call('add', 3, 4)]), [3, 7])
  await t.rejects(one.call('fail'), { message: 'no' })
  await t.rejects(one.call('unknown'), { message: 'the other process cannot do unknown yet' })
})

t.test('a call rejects when the other process ends first', async t => {
  const { ends, hold } = connect()
  const one = createChannel(ends[0])
  hold()
  const call = one.call('add', 1, 2)
  ends[0].emit('disconnect')
  await t.rejects(call, { message: 'the other process has ended' })
})

t.test('texts count as unsent until the operating system has taken them', async t => {
  const { ends, hold, release } = connect()
  const [one, other] = [createChannel(ends[0]), createChannel(ends[1])]
  const received: string[] = []
  other.handle('page', (text: string) => void received.push(text))
  hold()
  one.sendText('page', 'x'.repeat(1000))
  one.sendText('page', 'y'.repeat(500))
  t.equal(one.unsent, 1500)
  release()
  await nextTurn()
  t.equal(one.unsent, 0)
  t.strictSame(
    received.map(({ length }) => length),
    [1000, 500]
  )
})
