import t, { type Test } from 'tap'
import { metricIn } from '../support/metrics.ts'
import { until } from '../support/until.ts'
import { cuts } from './cut.ts'
import { faults } from './faults.ts'
import { createStage } from './harness.ts'
import type { ServiceNode } from './node.ts'
import { post } from './world.ts'

const limits = { startMs: 60_000, awayMs: 5000, frozenMs: 12_000, writes: 60 }

/** Two nodes, 54 followers and 14 writers, to whom everything below happens, one after the other. */
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
t.comment(`SEED=${seed}`)
const stage = await createStage({ seed })
const { nodes, world, written, streams, sockets } = stage
const [node] = nodes as [ServiceNode]

/** One fault, while everybody writes, before it and after it; then everybody must have been told everything. */
function survives(name: string, happen: (t: Test) => Promise<unknown>) {
  t.test(`no event is lost when ${name}`, async t => {
    await stage.play(async () => {
      await load()
      await happen(t)
      await load()
    })
    const { wrong, events, deliveries } = await stage.judge()
    t.strictSame(wrong.slice(0, 10), [], 'none lost, doubled, inverted, foreign or leaked')
    t.comment(`${events} events, ${deliveries} deliveries so far`)
    for (const node of nodes) await until(async () => (await readiness(node)) === 'ready')
  })
}

async function load() {
  const enough = written.done + limits.writes
  await until(() => written.done >= enough, limits.startMs)
}

async function readiness({ address }: ServiceNode): Promise<string> {
  const reply = await fetch(`${address}/health/ready`)
  return ((await reply.json()) as { status: string }).status
}

/** What somebody is answered who writes now. */
function write({ address }: ServiceNode) {
  const [{ owner, listIds }] = world.projects as [(typeof world.projects)[0]]
  const op = { opId: crypto.randomUUID(), kind: 'item.add', itemId: crypto.randomUUID() }
  const ops = [{ ...op, text: 'written in between', after: null }]
  return post(address, `/checklists/${listIds[0]}/ops`, owner, { ops })
}

const connects = () => nodes.map(node => metric(node, 'concord_listener_connects_total'))

async function metric({ address }: ServiceNode, name: string): Promise<number> {
  return metricIn(await (await fetch(`${address}/metrics`)).text(), name)
}

survives('the LISTEN connections are killed five times', async t => {
  const before = await Promise.all(connects())
  for (let n = 0; n < 5; n++) {
    await faults.killListeners(stage)
    await load()
  }
  const after = await Promise.all(connects())
  t.ok(
    after.every((count, n) => count > (before[n] as number)),
    `${after} connects`
  )
})

survives('the backend of one LISTEN connection hangs', async t => {
  const before = await Promise.all(connects())
  const frozen = faults.freezeListener(stage)
  await load() // by polling
  await frozen
  const after = await Promise.all(connects())
  t.ok(
    after.some((count, n) => count > (before[n] as number)),
    `${after} connects`
  )
})

survives('the log connections are killed', async () => {
  await faults.killReaders(stage)
})

survives('every pool connection is killed', async () => {
  await faults.killPools(stage)
})

survives('PostgreSQL is killed and restarted at once', async () => {
  await faults.killDatabase(stage, 0)
})

survives('PostgreSQL is killed and away for 5 s', async t => {
  const away = faults.killDatabase(stage, limits.awayMs)
  await until(async () => (await readiness(node)) === 'unavailable')
  const reply = await write(node)
  t.equal(reply.status, 503, 'whoever writes meanwhile is told so')
  t.ok(Number(reply.headers.get('retry-after')) > 0, 'and when to try again')
  await away
})

survives('PostgreSQL hangs longer than a heartbeat', async t => {
  const thawed = faults.freezeDatabase(stage, limits.frozenMs)
  await until(async () => (await readiness(node)) === 'unavailable')
  const reply = await write(node)
  t.ok([200, 503].includes(reply.status), `whoever writes meanwhile is answered ${reply.status}`)
  await thawed
})

survives('a transaction stays open for 5 s', async t => {
  let isOver = false
  const held = faults.holdTransaction(stage, limits.awayMs).finally(() => {
    isOver = true
  })
  const before = await metric(node, 'concord_delivered_head')
  await load()
  await until(async () => (await metric(node, 'concord_delivered_head')) > before + limits.writes)
  t.notOk(isOver, 'others were told while it was open')
  await held
})

survives('a node is killed', async () => {
  await faults.killNode(stage)
})

survives('a node receives SIGTERM', async () => {
  await faults.stopNode(stage)
})

survives('the nodes restart one after the other', async () => {
  await faults.rollingRestart(stage)
})

survives('all clients lose their connections in three ways', async () => {
  for (const how of cuts) {
    for (const follower of [...streams, ...sockets]) follower.cut(how)
    await load()
  }
})

survives('the clock of a node jumps a day ahead and back', async () => {
  await faults.stepClock(stage)
})

t.test('every node exits with 0 on SIGTERM', async t => {
  t.strictSame(await stage.close(), [])
})
