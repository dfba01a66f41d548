import { connect } from '@nats-io/transport-node'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import type { LogEvent } from '../../lib/event.ts'
import { build, JWT_SECRET } from '../support/app.ts'
import { createDatabase, openSql } from '../support/database.ts'
import { insertLargeEvents } from '../support/large-events.ts'
import { readMetric } from '../support/metrics.ts'
import { isNatsMissing, startNats } from '../support/nats-server.ts'
import { insertProject } from '../support/projects.ts'
import { until } from '../support/until.ts'

t.jobs = 2
const skip = isNatsMissing

/** Starts nodes on one database and one NATS server. Each node has a subscriber of one project. */
async function setUp(t: Test, count = 3) {
  const nats = await startNats()
  t.teardown(nats.kill)
  const url = await createDatabase(t)
  const sql = openSql(t, url, 4)
  const nodes: { app: FastifyInstance; events: LogEvent[]; resets: number }[] = []
  const first = await startOne()
  const projectId = await insertProject(sql)
  const [list] = await sql<[{ id: string }]>`
    insert into checklists (project_id, title) values (${projectId}, 'To buy') returning id`
  const [{ start }] = await sql<[{ start: number }]>`select max(pos) as start from events`
  for (let n = 0; n < count; n++) await addNode(n === 0 ? first : undefined)

  return {
    nats,
    sql,
    nodes,
    projectId,
    listId: list.id,
    addNode,
    metricOfAll: (name: string) =>
      Promise.all(nodes.map(({ app }) => readMetric(app, `concord_${name}`))),
    /** Waits until one node reads the log, and returns its index. */
    async publisher(): Promise<number> {
      const values = () => Promise.all(nodes.map(({ app }) => readMetric(app, 'concord_publisher')))
      await until(async () => (await values()).filter(Boolean).length === 1)
      return (await values()).indexOf(1)
    },
    /** Adds items, one commit each. */
    async write(count: number) {
      for (let n = 0; n < count; n++)
        await sql`insert into checklist_items (checklist_id, text) values (${list.id}, ${`item ${n}`})`
    },
    /** Waits until every node has received all events, and compares them with SQL. */
    async check(t: Test) {
      const rows = await sql`
        select pos, kind, item_id as "itemId", after ->> 'text' as text
        from events
        where project_id = ${projectId} and pos > ${start}
        order by pos`
      const last = rows.at(-1)?.pos
      await until(() => nodes.every(({ app }) => app.pubsub.deliveredHead >= last))
      for (const { events } of nodes)
        t.strictSame(
          events.map(({ pos, kind, itemId, after }) => ({
            ...{ pos, kind, itemId, text: JSON.parse(after ?? '{}').text ?? null }
          })),
          [...rows]
        )
    }
  }

  function startOne() {
    return build(t, { DATABASE_URL: url, NATS_URL: nats.url, JWT_SECRET })
  }

  async function addNode(started?: FastifyInstance) {
    const app = started ?? (await startOne())
    const node = { app, events: [] as LogEvent[], resets: 0 }
    await until(() => app.pubsub.deliveredHead >= start)
    app.pubsub.subscribe(`project:${projectId}`, {
      receive: events => void node.events.push(...events),
      reset: () => void node.resets++
    })
    nodes.push(node)
    return node
  }
}

t.test('one node reads the log for all', { skip }, async t => {
  const { nodes, sql, publisher, write, metricOfAll, check } = await setUp(t)
  const reader = await publisher()
  await write(1)
  await check(t)
  const before = await metricOfAll('log_reads_total')
  await write(200)
  await check(t)
  const reads = (await metricOfAll('log_reads_total')).map((n, i) => n - (before[i] as number))
  t.ok((reads[reader] as number) > 0)
  // On a busy machine, pages may come late, and a node may read for that reason.
  t.ok(
    reads.toSpliced(reader, 1).every(count => count < 50),
    `${reads} pages read for 200 commits`
  )
  const listeners = await sql`
    select from pg_stat_activity
    where application_name = 'concord listen' and datname = current_database()`
  t.equal(listeners.length, 1)
  t.ok(nodes.every(({ app }) => app.pubsub.health().listening))
})

t.test('another node takes over when the publisher stops', { skip }, async t => {
  const { nodes, publisher, write, check } = await setUp(t)
  const [first] = nodes.splice(await publisher(), 1)
  const writing = write(100)
  await first?.app.close()
  await writing
  await publisher()
  await write(20)
  await check(t)
})

t.test('without NATS, every node reads PostgreSQL', { skip }, async t => {
  const { nats, publisher, write, check, addNode, metricOfAll } = await setUp(t)
  await publisher()
  await nats.kill()
  await write(50)
  await check(t)
  t.strictSame(await metricOfAll('nats_up'), [0, 0, 0])
  await addNode()
  await nats.start()
  await publisher()
  await until(async () => (await metricOfAll('nats_up')).every(Boolean))
})

t.test('old, doubled and foreign messages change nothing', { skip }, async t => {
  const { nats, nodes, publisher, write, check, metricOfAll } = await setUp(t)
  await publisher()
  const other = await connect({ servers: nats.address })
  t.teardown(() => other.close())
  const subject = Promise.withResolvers<string>()
  const seen: Uint8Array[] = []
  other.subscribe('concord.log.>', {
    callback(_error, message) {
      subject.resolve(message.subject)
      seen.push(message.data)
    }
  })
  const name = await subject.promise
  let isOver = false
  const attack = (async () => {
    while (!isOver) {
      const old = seen[Math.floor(Math.random() * seen.length)] as Uint8Array
      other.publish(name, old)
      const forged = Buffer.from(old)
      forged[forged.length - 5] = 0x39
      other.publish(name, forged)
      other.publish(name, 'poison')
      other.publish(name, Buffer.concat([Buffer.from('2'), old.subarray(1)]))
      await other.flush()
      await new Promise(setImmediate)
    }
  })()
  await write(200)
  await check(t)
  isOver = true
  await attack
  t.ok((await metricOfAll('foreign_pages_total')).every(Boolean))
  t.ok(nodes.every(({ resets }) => resets === 0))
})

t.test('an event that NATS would not accept is read from PostgreSQL', { skip }, async t => {
  const { sql, projectId, listId, publisher, write, check } = await setUp(t)
  await publisher()
  await write(2)
  await insertLargeEvents(sql, { projectId, listId, count: 3, bytes: 1_500_000 })
  await write(2)
  await check(t)
})

t.test('a new epoch resets the subscribers of each node once', { skip }, async t => {
  const { sql, nodes, publisher, write } = await setUp(t)
  await publisher()
  await write(5)
  await sql`update log_state set generation = generation + 1`
  await write(1)
  await until(() => nodes.every(({ resets }) => resets === 1))
  for (const node of nodes) node.events.length = 0
  await publisher()
  await write(20)
  await until(() => nodes.every(({ events }) => events.length >= 20))
  t.strictSame(
    nodes.map(({ resets }) => resets),
    [1, 1, 1]
  )
})

t.test('a node starts while NATS cannot be reached', { skip }, async t => {
  const app = await build(t, {
    DATABASE_URL: await createDatabase(t),
    NATS_URL: 'nats://127.0.0.1:9',
    JWT_SECRET
  })
  const projectId = await insertProject(app.sql)
  const [{ pos }] = await app.sql<[{ pos: number }]>`
    select pos from events where project_id = ${projectId}`
  t.ok(await app.pubsub.delivered(pos))
})

t.test('NATS_URL has the user and the password', { skip }, async t => {
  const nats = await startNats(['--user', 'concord', '--pass', 'a b/c@d'])
  t.teardown(nats.kill)
  const start = (login: string) =>
    build(t, {
      DATABASE_URL: databaseUrl,
      NATS_URL: `nats://${login}@${nats.address}`,
      JWT_SECRET
    })
  const databaseUrl = await createDatabase(t)
  const good = await start('concord:a%20b%2Fc%40d')
  await until(async () => (await readMetric(good, 'concord_nats_up')) === 1)
  const bad = await start('concord:wrong')
  t.equal(await readMetric(bad, 'concord_nats_up'), 0)
  const projectId = await insertProject(bad.sql)
  const [{ pos }] = await bad.sql<[{ pos: number }]>`
    select pos from events where project_id = ${projectId}`
  t.ok(await bad.pubsub.delivered(pos))
})
