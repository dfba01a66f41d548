import t from 'tap'
import { faults } from '../soak/faults.ts'
import { startHarness } from '../soak/harness.ts'
import type { ServiceNode } from '../soak/node.ts'
import { childrenOf } from '../support/children.ts'
import { metricIn } from '../support/metrics.ts'
import { until } from '../support/until.ts'

// One node with two workers, 32 followers and 14 writers, over HTTP and SQL. After each fault, every follower must have
// received exactly the events that SQL selects for it, each once and in order.
const limits = { startMs: 60_000, writes: 60, workers: 2 }
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
t.comment(`SEED=${seed}`)
const harness = await startHarness({
  seed,
  nodes: 1,
  workers: limits.workers,
  streams: 24,
  sockets: 8
})
const { nodes, written } = harness
const [node] = nodes as [ServiceNode]

function survives(name: string, inject: () => Promise<unknown>) {
  t.test(`no event is lost when ${name}`, async t => {
    await harness.run(async () => {
      await waitForWrites()
      await inject()
      await waitForWrites()
    })
    const { violations, events, deliveries } = await harness.check()
    t.strictSame(violations.slice(0, 10), [], 'no follower reports a violation')
    t.comment(`${events} events, ${deliveries} deliveries so far`)
    await until(isReady, limits.startMs)
    t.equal((await childrenOf(node.pid as number)).length, limits.workers)
  })
}

async function waitForWrites() {
  const enough = written.done + limits.writes
  await until(() => written.done >= enough, limits.startMs)
}

const isReady = async () => (await fetch(`${node.address}/health/ready`)).ok

survives('a worker is killed twice', async () => {
  for (let n = 0; n < 2; n++) {
    await faults.killWorker(harness)
    await until(isReady, limits.startMs)
    await waitForWrites()
  }
})

survives('a worker is frozen', async () => {
  await faults.freezeWorker(harness)
})

survives('the LISTEN connection and the log connection are killed', async () => {
  await faults.killListeners(harness)
  await faults.killReaders(harness)
})

survives('PostgreSQL is killed and restarted at once', async () => {
  await faults.killDatabase(harness, 0)
})

survives('the primary is killed', async () => {
  await faults.killNode(harness)
})

t.test('the workers report no gap between revisions', async t => {
  const text = await (await fetch(`${node.address}/metrics`)).text()
  t.equal(metricIn(text, 'concord_revision_gaps_total'), 0)
})

t.test('the node exits with 0 on SIGTERM', async t => {
  t.strictSame(await harness.close(), [])
})
