import { once } from 'node:events'
import t, { type Test } from 'tap'
import type { Cursor } from '../../../lib/cursor.ts'
import type { LogEvent } from '../../../lib/event.ts'
import type { Follow, Page } from '../../../plugins/pubsub/follow.ts'
import { createPubSub } from '../../../plugins/pubsub/pubsub.ts'
import type { Sql } from '../../../sql/executor.ts'
import { readAfter } from '../../../sql/log.ts'
import { build } from '../../support/app.ts'
import { insertProject } from '../../support/projects.ts'
import { createRandom } from '../../support/random.ts'
import { until } from '../../support/until.ts'

t.jobs = 4

/** Returns a source that yields the pages that the test passes to `send`, and the positions at which it was started. */
function createSource() {
  const starts: Cursor[] = []
  const wakes = new EventTarget()
  let steps: (Page | 'end' | 'throw')[] = []
  const follow: Follow = async function* (from, signal) {
    starts.push(from)
    signal.addEventListener('abort', () => wakes.dispatchEvent(new Event('wake')))
    while (!signal.aborted) {
      const step = steps.shift()
      if (step === 'end') return
      if (step === 'throw') throw new Error('the source broke')
      if (step) yield step
      else await once(wakes, 'wake')
    }
  }
  return {
    follow,
    starts,
    send(...next: typeof steps) {
      steps = [...steps, ...next]
      wakes.dispatchEvent(new Event('wake'))
    },
    /** Whether the node has processed all pages. */
    get isEmpty() {
      return steps.length === 0
    }
  }
}

/** Starts a node whose pages come from the test, with one subscriber of a project. */
async function setUp(t: Test) {
  const app = await build(t)
  const { sql } = app
  const projectId = await insertProject(sql)
  const source = createSource()
  const pubsub = await createPubSub(app, { follow: source.follow, isListening: () => true })
  t.teardown(() => pubsub.close())
  const start = { epoch: pubsub.epoch, pos: pubsub.deliveredHead }
  const events: LogEvent[] = []
  let resets = 0
  pubsub.subscribe(`project:${projectId}`, {
    receive: next => void events.push(...next),
    reset: () => void resets++
  })

  return {
    sql,
    pubsub,
    source,
    start,
    events,
    get resets() {
      return resets
    },

    /** Commits events one by one, and rolls back as many, so that positions have gaps. Returns all events so far. */
    async commit(count: number): Promise<LogEvent[]> {
      for (let n = 0; n < count; n++) {
        await sql`insert into checklists (project_id, title) values (${projectId}, 'To buy')`
        await sql`select nextval('events_pos')`
      }
      return readAll(sql, start.pos)
    },

    /** Returns the page of the events from one index to another. */
    page(log: LogEvent[], from: number, to = log.length): Page {
      const posOf = (index: number) => log[index - 1]?.pos ?? start.pos
      return {
        epoch: start.epoch,
        after: posOf(from),
        to: posOf(to),
        head: posOf(log.length),
        events: log.slice(from, to)
      }
    },

    /** Checks that the subscriber has received the events that SQL finds, each once and in order. */
    async checkDelivery(t: Test, message: string) {
      const all = await readAll(sql, start.pos)
      await until(() => events.length >= all.length)
      t.strictSame(events.map(plain), all.map(plain), message)
      t.equal(pubsub.deliveredHead, all.at(-1)?.pos ?? start.pos)
      t.equal(resets, 0)
    }
  }
}

async function readAll(sql: Sql, pos: number): Promise<LogEvent[]> {
  return (await readAfter(sql, pos, { rows: 100_000, bytes: 1e9 })).events
}

const plain = ({ pos, kind, checklistId, rev, after }: LogEvent) =>
  ({ pos, kind, checklistId, rev, after }) as const

async function readGeneration(sql: Sql): Promise<number> {
  const [row] = await sql<[{ generation: number }]>`select generation from log_state`
  return row.generation
}

t.test('repeated and overlapping pages deliver each event once', async t => {
  const { source, commit, page, checkDelivery } = await setUp(t)
  const log = await commit(10)
  source.send(page(log, 0, 4), page(log, 0, 4), page(log, 2, 6), page(log, 1, 5), page(log, 5, 10))
  await checkDelivery(t, 'as in SQL')
})

t.test('an event that a page leaves out is read from PostgreSQL', async t => {
  const { source, commit, page, checkDelivery, pubsub } = await setUp(t)
  const log = await commit(10)
  const delivered = pubsub.delivered(log[9]?.pos as number)
  source.send(page(log, 0, 3), page(log, 9, 10))
  t.ok(await delivered)
  await checkDelivery(t, 'as in SQL')
  source.send(page(log, 3, 9))
  await commit(1)
  source.send({ ...page(log, 10), after: (log[9]?.pos as number) + 1 })
  await checkDelivery(t, 'the late page is skipped, a page without events also shows a gap')
})

t.test('pages in random order deliver each event once, in order', async t => {
  const { source, commit, page, checkDelivery } = await setUp(t)
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
  t.comment(`SEED=${seed}`)
  const random = createRandom(seed)
  let log: LogEvent[] = []
  for (let round = 0; round < 30; round++) {
    log = await commit(random.upTo(8))
    const pages = Array.from({ length: 6 }, () => {
      const [a, b] = [random.upTo(log.length + 1), random.upTo(log.length + 1)]
      return page(log, Math.min(a, b), Math.max(a, b))
    })
    source.send(...pages)
    if (random.chance(0.2)) source.send(random.pick(['end', 'throw'] as const))
  }
  source.send(page(log, log.length))
  await checkDelivery(t, `as in SQL, ${log.length} events`)
})

t.test('a page of another epoch delivers nothing and resets no subscriber', async t => {
  const { sql, source, commit, page, checkDelivery, pubsub, start } = await setUp(t)
  const log = await commit(4)
  const [first] = log as [LogEvent]
  const forged = { ...first, pos: first.pos + 1000 }
  const foreign = { epoch: '0123456789ab', after: start.pos, to: forged.pos, head: forged.pos }
  for (let n = 0; n < 50; n++) source.send({ ...foreign, events: [forged] })
  await until(() => source.isEmpty)
  source.send(page(log, 0))
  await checkDelivery(t, 'the events of its own database')
  t.equal(pubsub.epoch, start.epoch)
  t.equal(await readGeneration(sql), 1)
})

t.test('a page that ends before the delivered head does not change the epoch', async t => {
  const { sql, source, commit, page, checkDelivery, pubsub, start } = await setUp(t)
  const log = await commit(4)
  const old = page(log.slice(0, 2), 0)
  source.send(page(log, 0), old, { ...old, after: old.to, events: [] })
  await until(() => source.isEmpty)
  await checkDelivery(t, 'each event once')
  t.equal(pubsub.epoch, start.epoch)
  t.equal(await readGeneration(sql), 1)
})

t.test('a page that begins after the head of PostgreSQL is not delivered', async t => {
  const { source, commit, page, checkDelivery } = await setUp(t)
  const log = await commit(4)
  const [first] = log as [LogEvent]
  const pos = first.pos + 1000
  const forged = { ...page(log, 0), after: pos, to: pos + 1, head: pos + 1 }
  source.send({ ...forged, events: [{ ...first, pos: pos + 1 }] })
  await checkDelivery(t, 'the events of PostgreSQL')
})

t.test('a foreign page makes the node find the new epoch of its database', async t => {
  const test = await setUp(t)
  const { sql, source, commit, page, events, pubsub, start } = test
  const log = await commit(4)
  source.send(page(log, 0))
  await until(() => events.length === 4)
  await sql`update log_state set generation = generation + 1`
  source.send({ ...page(log, 4), epoch: '0123456789ab' })
  await until(() => test.resets === 1)
  const [row] = await sql<[{ epoch: string }]>`select log_epoch() as epoch`
  t.equal(pubsub.epoch, row.epoch)
  t.not(pubsub.epoch, start.epoch)
  await until(() => source.starts.length === 2)
  t.strictSame(source.starts[1], { epoch: row.epoch, pos: log[3]?.pos })

  const [, , , , fifth] = await commit(1)
  const next = { epoch: row.epoch, after: log[3]?.pos as number, head: fifth?.pos as number }
  source.send({ ...next, to: next.head, events: [fifth as LogEvent] })
  await until(() => events.length === 5)
  t.equal(test.resets, 1)
})

t.test('a page with a lower head makes the node notice a restored database', async t => {
  const test = await setUp(t)
  const { sql, source, commit, page, pubsub, start } = test
  const log = await commit(4)
  source.send(page(log, 0))
  await pubsub.delivered(log[3]?.pos as number)
  await sql`delete from events where pos > ${log[1]?.pos as number}`
  source.send(page(log.slice(0, 2), 2))
  await until(() => test.resets === 1)
  t.not(pubsub.epoch, start.epoch)
  t.equal(pubsub.deliveredHead, log[1]?.pos)
  t.equal(await readGeneration(sql), 2)
})

t.test('a source that ends or throws is started again at the delivered head', async t => {
  const { source, commit, page, checkDelivery, pubsub } = await setUp(t)
  let log = await commit(4)
  source.send(page(log, 0, 2), 'throw', page(log, 2, 4), 'end')
  await until(() => source.starts.length === 3)
  t.notOk(pubsub.health().reading)
  t.strictSame(
    source.starts.slice(1).map(({ pos }) => pos),
    [log[1]?.pos, log[3]?.pos]
  )
  log = await commit(1)
  source.send(page(log, 4))
  await checkDelivery(t, 'as in SQL')
  t.ok(pubsub.health().reading)
})
