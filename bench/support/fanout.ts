import { setTimeout as delay } from 'node:timers/promises'
import { compare, type Figures, measure } from './compare.ts'
import { type ConnectionOptions, openConnections } from './connections.ts'
import { createSharedList } from './list.ts'
import { startPeer } from './peers.ts'
import { startService } from './service.ts'

/** Commits that a server delivers to all connections. */
interface FanoutLoad {
  connections: number
  commits: number
  changes: number
}

const loads: Record<string, FanoutLoad> = {
  '1,000 × 20 commits a second': { connections: 1000, commits: 20, changes: 1 },
  '5,000 × 10 commits a second': { connections: 5000, commits: 10, changes: 1 },
  '1,000 × 20 commits a second of ten changes': { connections: 1000, commits: 20, changes: 10 },
  '1,000 × 200 commits a second': { connections: 1000, commits: 200, changes: 1 }
}

/**
 * Compares CPU time and latency with those of bare servers of bench/peers/fanout.ts, which write the same bytes in one
 * of `ways` when PostgreSQL notifies them of a commit.
 */
export function compareFanout(kind: 'stream' | 'socket', ways: string[]) {
  return compare<FanoutLoad>({
    title: `Changes to ${kind}s`,
    seconds: 2,
    loads,
    async start(env) {
      const service = await startService(env)
      const list = await createSharedList(service.url, env.DATABASE_URL)
      const CHANGE = await list.readBytes(kind)
      const peers = ways.map(async WAY => {
        const peer = await startPeer('fanout.ts', { ...env, WAY, CHANGE })
        const options = { kind, url: peer.url, opened: 'HTTP/1.1' }
        return {
          name: WAY,
          round: (load: FanoutLoad, seconds: number) =>
            measureFanout(peer.pid, options, load, seconds, list.notifyPeers)
        }
      })
      const options = { kind, url: service.url, ...list.openOptions(kind) }
      return [
        {
          name: 'service',
          round: (load, seconds) => measureFanout(service.pid, options, load, seconds, list.change)
        },
        ...(await Promise.all(peers))
      ]
    }
  })
}

// Time in which the messages about the presence of the opened sockets are delivered.
const settleMs = 500

/**
 * Opens connections, calls `publish` at a constant rate, and waits until each connection has received each change.
 * Returns the CPU time of the server for one delivery, and the time from `publish` to the arrival.
 */
async function measureFanout(
  pid: number,
  options: Omit<ConnectionOptions, 'count'>,
  { connections: count, commits, changes }: FanoutLoad,
  seconds: number,
  publish: (changes: number) => Promise<unknown>
): Promise<Figures> {
  const connections = await openConnections({ ...options, count, changes })
  await delay(settleMs)
  const figures = await measure('delivery', pid, async () => {
    const total = Math.round(seconds * commits)
    const start = performance.now()
    const sent: Promise<unknown>[] = []
    for (let n = 0; n < total; n++) {
      await delay(Math.max(0, start + (n * 1000) / commits - performance.now()))
      sent.push(connections.send(n, () => publish(changes)))
    }
    await Promise.all(sent)
    await connections.waitUntilReceived(total * changes * count)
    return { count: total * changes * count }
  })
  const latency = connections.latency()
  await connections.close()
  await delay(settleMs)
  return { ...figures, ...latency }
}
