import t, { type Test } from 'tap'
import { metricIn } from '../support/metrics.ts'
import { until } from '../support/until.ts'
import { disconnects } from './disconnects.ts'
import { faults } from './faults.ts'
import { post } from './fixtures.ts'
import { startHarness } from './harness.ts'
import type { ServiceNode } from './node.ts'

const limits = { startMs: 60_000, awayMs: 5000, frozenMs: 12_000, writes: 40, pauseMs: 400 }

// Two nodes, 28 followers and 14 writers, against which the faults below are injected one after the other.
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
t.comment(`SEED=${seed}`)
const harness = await startHarness({ seed, pauseMs: limits.pauseMs, streams: 20, sockets: 8 })
const { nodes, fixtures, written, streams, sockets } = harness
const [node] = nodes as [ServiceNode]

/** Injects a fault under load, then checks that every follower has received exactly its events. */
function survives(name: string, inject: (t: Test) => Promise<unknown>) {
  t.test(`no event is lost when ${name}`, async t => {
    await harness.run(async () => {
      await waitForWrites()
      await inject(t)
      await waitForWrites()
    })
    const { violations, events, deliveries } = await harness.check()
    t.strictSame(violations.slice(0, 10), [], 'no follower reports a violation')
    t.comment(`${events} events, ${deliveries} deliveries so far`)
    for (const node of nodes) await until(async () => (await readiness(node)) === 'ready')
  })
}

async function waitForWrites() {
  const enough = written.done + limits.writes
  await until(() => written.done >= enough, limits.startMs)
}

async function readiness({ address }: ServiceNode): Promise<string> {
  const reply = await fetch(`${address}/health/ready`)
  return ((await reply.json()) as { status: string }).status
}

/** Pushes an operation and returns the response. */
function push({ address }: ServiceNode) {
  const [{ owner, listIds }] = fixtures.projects as [(typeof fixtures.projects)[0]]
  const op = { opId: crypto.randomUUID(), kind: 'item.add', itemId: crypto.randomUUID() }
  const ops = [{ ...op, text: 'pushed during a fault', after: null }]
  return post(address, `/checklists/${listIds[0]}/ops`, owner, { ops })
}

const connects = () => nodes.map(node => metric(node, 'concord_listener_connects_total'))

async function metric({ address }: ServiceNode, name: string): Promise<number> {
  return metricIn(await (await fetch(`${address}/metrics`)).text(), name)
}

survives('the LISTEN connections are killed three times', async t => {
  const before = await Promise.all(connects())
  for (let n = 0; n < 3; n++) {
    await faults.killListeners(harness)
    await waitForWrites()
  }
  const after = await Promise.all(connects())
  t.ok(
    after.every((count, n) => count > (before[n] as number)),
    `${after} connects`
  )
})

survives('the backend of one LISTEN connection hangs', async t => {
  const before = await Promise.all(connects())
  const frozen = faults.freezeListener(harness)
  await waitForWrites()
  await frozen
  const after = await Promise.all(connects())
  t.ok(
    after.some((count, n) => count > (before[n] as number)),
    `${after} connects`
  )
})

survives('the log connections and every pool connection are killed', async () => {
  await faults.killReaders(harness)
  await waitForWrites()
  await faults.killPools(harness)
})

survives('PostgreSQL is killed and restarts after 5 s', async t => {
  const away = faults.killDatabase(harness, limits.awayMs)
  await until(async () => (await readiness(node)) === 'unavailable')
  const reply = await push(node)
  t.equal(reply.status, 503, 'writes return 503')
  t.ok(Number(reply.headers.get('retry-after')) > 0, 'the response has Retry-After')
  await away
})

survives('PostgreSQL hangs longer than a heartbeat', async t => {
  const frozen = faults.freezeDatabase(harness, limits.frozenMs)
  await until(async () => (await readiness(node)) === 'unavailable')
  const reply = await push(node)
  t.ok([200, 503].includes(reply.status), `a write returns ${reply.status}`)
  await frozen
})

survives('a transaction stays open for 5 s', async t => {
  let isStopped = false
  const held = faults.holdTransaction(harness, limits.awayMs).finally(() => {
    isStopped = true
  })
  const before = await metric(node, 'concord_delivered_head')
  await waitForWrites()
  await until(async () => (await metric(node, 'concord_delivered_head')) > before + limits.writes)
  t.notOk(isStopped, 'events are delivered while the transaction is open')
  await held
})

survives('a node is killed', async () => {
  await faults.killNode(harness)
})

survives('the nodes restart one after the other', async () => {
  await faults.rollingRestart(harness)
})

survives('all clients lose their connections in three ways', async () => {
  for (const how of disconnects) {
    for (const follower of [...streams, ...sockets]) follower.disconnect(how)
    await waitForWrites()
  }
})

survives('the clock of a node jumps a day ahead and back', async () => {
  await faults.stepClock(harness)
})

t.test('every node exits with 0 on SIGTERM', async t => {
  t.strictSame(await harness.close(), [])
})
