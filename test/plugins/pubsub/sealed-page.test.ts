import fc from 'fast-check'
import t from 'tap'
import type { LogEvent } from '../../../lib/event.ts'
import { deriveKeys } from '../../../lib/keys.ts'
import type { Page } from '../../../plugins/pubsub/follow.ts'
import { openPage, sealPage } from '../../../plugins/pubsub/sealed-page.ts'

const keys = deriveKeys([
  'a secret of the tests that is long enough',
  'an older secret of the same length'
])

function eventAt(pos: number, bytes = 400, text = 'Chairs'): LogEvent {
  return {
    ...{ pos, kind: 'item.added', projectId: null, checklistId: null, rev: 1, itemId: null },
    ...{ userId: null, before: null, after: JSON.stringify({ text }), actorId: null, opId: null },
    ...{ source: 'sql', at: new Date(1_700_000_000_000), bytes }
  }
}

const pageOf = (events: LogEvent[], after = 0): Page => {
  const to = events.at(-1)?.pos ?? after
  return { epoch: 'one', after, to, head: to, events }
}

t.test('a page is opened as it was sealed', async t => {
  for (const page of [
    pageOf([]),
    pageOf([eventAt(3), eventAt(4, 400, 'Stühle "neu" \u2028')], 2)
  ]) {
    const messages = [...sealPage(page, keys)]
    t.equal(messages.length, 1)
    t.strictSame(openPage(messages[0] as Uint8Array, keys), page)
  }
})

t.test('the parts of a page follow each other, within the limits of NATS', async () => {
  const size = fc.oneof(fc.integer({ min: 300, max: 5000 }), fc.integer({ min: 300, max: 900_000 }))
  fc.assert(
    fc.property(fc.array(size, { maxLength: 500 }), fc.nat(100), (sizes, after) => {
      const events = sizes.map((bytes, n) => eventAt(after + n + 1, bytes, 'x"'.repeat(bytes / 4)))
      const page = { ...pageOf(events, after), to: after + sizes.length + 3 }
      const messages = [...sealPage(page, keys)]
      const parts = messages.map(message => openPage(message, keys) as Page)
      let at = after
      const found: number[] = []
      for (const part of parts) {
        // A large event is left out: the part begins after it.
        if (part.after > at) found.push(part.after)
        found.push(...part.events.map(({ pos }) => pos))
        if (part.after < at || part.to < part.after) return false
        at = part.to
      }
      const all = events.map(({ pos }) => pos)
      return (
        at === page.to &&
        JSON.stringify(found) === JSON.stringify(all) &&
        messages.every(({ length }) => length < 1 << 20)
      )
    }),
    { numRuns: 30 }
  )
})

t.test('a message that no node has sent is no page', async t => {
  const page = pageOf([eventAt(1)])
  const [message = Buffer.of()] = sealPage(page, keys)
  const [older = Buffer.of()] = sealPage(page, [keys[1]] as never)
  t.strictSame(openPage(older, keys), page, 'an older secret verifies')
  const text = Buffer.from(message).toString()
  const others = [
    '',
    '{}',
    'not json',
    '\u0000'.repeat(200),
    text.slice(0, -1),
    `${text} `,
    text.replace('Chairs', 'Tables'),
    text.replace(/^1 /, '2 '),
    text.replace(/^1 \S+/, '1 unknown')
  ]
  for (const other of others) t.equal(openPage(Buffer.from(other), keys), undefined)
  const [foreign = Buffer.of()] = sealPage(
    page,
    deriveKeys(['a secret of another service, as long'])
  )
  t.equal(openPage(foreign, keys), undefined)
})
