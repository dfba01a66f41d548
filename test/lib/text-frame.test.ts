import type { Writable } from 'node:stream'
import t from 'tap'
import * as ws from 'ws'
import { textFrame } from '../../lib/text-frame.ts'

t.test('ws reads frames of every length', async t => {
  const texts = [0, 1, 125, 126, 65_535, 65_536, 100_000].map(length => 'x'.repeat(length))
  // The types of ws leave out its parser.
  const { Receiver } = ws as unknown as { Receiver: new () => Writable }
  const receiver = new Receiver()
  const received: string[] = []
  receiver.on('message', data => received.push(String(data)))
  receiver.write(Buffer.concat([...texts, 'é'].map(text => textFrame(Buffer.from(text)))))
  await new Promise<void>(resolve => receiver.end(resolve))
  t.strictSame(received, [...texts, 'é'])
})
