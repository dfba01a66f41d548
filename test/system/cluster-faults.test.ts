import t from 'tap'
import { type FaultName, faults } from '../soak/faults.ts'
import { startHarness } from '../soak/harness.ts'
import type { ServiceNode } from '../soak/node.ts'
import { childrenOf } from '../support/children.ts'
import { metricIn } from '../support/metrics.ts'
import { isNatsMissing } from '../support/nats-server.ts'
import { until } from '../support/until.ts'

// Two nodes with two workers each, of which one reads the log and sends it to the other through NATS, 28 followers and
// 14 writers. After each fault, every follower must have received exactly the events that SQL selects for it, each once
// and in order.
t.setTimeout(600_000)
const limits = { startMs: 60_000, writes: 40, pauseMs: 400, faultMs: 6000, workers: 2 }
const nats = !isNatsMissing
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
t.comment(`SEED=${seed}`)
const harness = await startHarness({
  seed,
  nodes: 2,
  workers: limits.workers,
  nats,
  pauseMs: limits.pauseMs,
  streams: 20,
  sockets: 8
})
const { nodes, written } = harness

survives('two workers are killed', 'killWorker', 'killWorker')
survives('a node is frozen', 'freezeNode')
if (nats) {
  survives('the publisher loses its lock', 'killPublisher')
  survives('NATS is killed', 'killNats')
  survives('NATS is frozen', 'freezeNats')
} else t.comment(`without NATS: ${isNatsMissing}`)

t.test('one node reads the log for both', { skip: isNatsMissing }, async t => {
  await until(async () => (await sumOf('concord_publisher')) === 1, limits.startMs)
  t.equal(await sumOf('concord_nats_up'), nodes.length)
  t.equal(await sumOf('concord_foreign_pages_total'), 0)
})

t.test('no node reports a gap between revisions', async t => {
  t.equal(await sumOf('concord_revision_gaps_total'), 0)
})

t.test('the nodes exit with 0 on SIGTERM', async t => {
  t.strictSame(await harness.close(), [])
})

function survives(name: string, ...injected: FaultName[]) {
  t.test(`no event is lost when ${name}`, async t => {
    await harness.run(async () => {
      await waitForWrites()
      for (const fault of injected) await faults[fault](harness, limits.faultMs)
      await waitForWrites()
    })
    const { violations, events, deliveries } = await harness.check()
    t.strictSame(violations.slice(0, 10), [], 'no follower reports a violation')
    t.comment(`${events} events, ${deliveries} deliveries so far`)
    await until(async () => (await Promise.all(nodes.map(isReady))).every(Boolean), limits.startMs)
    for (const { pid } of nodes) t.equal((await childrenOf(pid as number)).length, limits.workers)
  })
}

async function waitForWrites() {
  const enough = written.done + limits.writes
  await until(() => written.done >= enough, limits.startMs)
}

async function isReady({ address }: ServiceNode): Promise<boolean> {
  return (await fetch(`${address}/health/ready`)).ok
}

async function sumOf(metric: string): Promise<number> {
  const values = nodes.map(async ({ address }) =>
    metricIn(await (await fetch(`${address}/metrics`)).text(), metric)
  )
  return (await Promise.all(values)).reduce((sum, value) => sum + value)
}
