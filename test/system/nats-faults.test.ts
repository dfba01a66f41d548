import t from 'tap'
import { faults } from '../soak/faults.ts'
import { startHarness } from '../soak/harness.ts'
import { metricIn } from '../support/metrics.ts'
import { isNatsMissing } from '../support/nats-server.ts'
import { until } from '../support/until.ts'

// Two nodes, of which one reads the log and sends it through NATS, 54 followers and 14 writers. After each fault, every
// follower must have received exactly the events that SQL selects for it, each once and in order.
const limits = { startMs: 60_000, writes: 60, faultMs: 6000 }

if (isNatsMissing) t.plan(0, isNatsMissing)
else await testFaults()

async function testFaults() {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
  t.comment(`SEED=${seed}`)
  const harness = await startHarness({ seed, nodes: 2, nats: true })
  const { nodes, written } = harness

  survives('the publisher loses its lock', () => faults.killPublisher(harness))
  survives('NATS is killed and restarted', () => faults.killNats(harness, limits.faultMs))
  survives('NATS is frozen', () => faults.freezeNats(harness, limits.faultMs))
  survives('each node is killed', async () => {
    for (const node of nodes) {
      await node.stop('SIGKILL')
      await waitForWrites()
      await node.start()
    }
  })
  survives('a node is frozen', () => faults.freezeNode(harness, limits.faultMs))
  survives('the connections to PostgreSQL are killed', async () => {
    await faults.killListeners(harness)
    await faults.killReaders(harness)
    await faults.killPools(harness)
  })

  t.test('one node reads the log for both', async t => {
    await until(async () => (await sumOf('concord_publisher')) === 1, limits.startMs)
    t.equal(await sumOf('concord_nats_up'), 2)
    t.equal(await sumOf('concord_revision_gaps_total'), 0)
    t.equal(await sumOf('concord_foreign_pages_total'), 0)
  })

  t.test('the nodes exit with 0 on SIGTERM', async t => {
    t.strictSame(await harness.close(), [])
  })

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
    })
  }

  async function waitForWrites() {
    const enough = written.done + limits.writes
    await until(() => written.done >= enough, limits.startMs)
  }

  async function sumOf(metric: string): Promise<number> {
    const values = nodes.map(async ({ address }) =>
      metricIn(await (await fetch(`${address}/metrics`)).text(), metric)
    )
    return (await Promise.all(values)).reduce((sum, value) => sum + value)
  }
}
