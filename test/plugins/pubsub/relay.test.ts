import { EventEmitter } from 'node:events'
import t from 'tap'
import { createChannel } from '../../../lib/channel.ts'
import type { LogEvent } from '../../../lib/event.ts'
import type { Page } from '../../../plugins/pubsub/follow.ts'
import { formatPage } from '../../../plugins/pubsub/page-queue.ts'
import { createRelay } from '../../../plugins/pubsub/relay.ts'

const epoch = 'a5426ff120a6'

function createPage(pos: number, text = 'x'): Page {
  const event: LogEvent = {
    ...{ pos, kind: 'item.added', projectId: 'p', checklistId: 'c', rev: pos, itemId: 'i' },
    ...{ userId: null, before: null, after: JSON.stringify({ text }), actorId: null, opId: null },
    ...{ source: 'sql', at: new Date(1_700_000_000_123), bytes: text.length }
  }
  return { epoch, after: pos - 1, to: pos, head: pos, events: [event] }
}

/** Returns the relay of a worker, and functions that send it what the primary sends. */
function createWorker() {
  const sent: string[] = []
  const port = Object.assign(new EventEmitter(), {
    connected: true,
    send: ({ name }: { name: string }) => sent.push(name) > 0
  })
  const relay = createRelay(createChannel(port as never))
  const notify = (name: string, ...args: unknown[]) => port.emit('message', { name, args })
  const closing = new AbortController()
  const pages = relay.follow({ epoch, pos: 0 }, closing.signal)[Symbol.asyncIterator]()
  return { relay, sent, notify, closing, pages, next: async () => (await pages.next()).value }
}

t.test('a worker receives the pages of the primary unchanged and in order', async t => {
  const { relay, notify, next, pages, sent, closing } = createWorker()
  const [first, second] = [createPage(1), createPage(2)]
  const waiting = next()
  notify('page', formatPage(first))
  notify('page', formatPage(second))
  t.strictSame(await waiting, first)
  t.strictSame(await next(), second)
  t.notOk(relay.isListening())
  notify('listening', true)
  t.ok(relay.isListening())
  relay.onWait()
  t.strictSame(sent, ['awaited'])
  const last = pages.next()
  closing.abort()
  t.ok((await last).done)
})

t.test('an outage of the primary ends the pages with its reason', async t => {
  const { notify, next } = createWorker()
  notify('page', formatPage(createPage(1)))
  notify('outage', 'connection refused')
  t.equal((await next())?.to, 1)
  await t.rejects(next(), { message: 'connection refused' })
})

t.test('pages that wait in a worker are bounded, and the newest one shows the gap', async t => {
  const { notify, next } = createWorker()
  const count = 30
  for (let n = 1; n <= count; n++) notify('page', formatPage(createPage(n, 'x'.repeat(1 << 20))))
  const kept: Page[] = []
  for (let page = await next(); page; page = page.to < count ? await next() : undefined)
    kept.push(page)
  t.ok(kept.length < 10, `${kept.length} pages`)
  t.equal(kept.at(-1)?.to, count)
  t.ok((kept[0]?.after ?? 0) > 0, 'the first kept page begins after a gap')
})
