import { setTimeout as delay } from 'node:timers/promises'
import { compare, type Figures, measure } from './compare.ts'
import { type ConnectionOptions, openConnections } from './connections.ts'
import { createSharedList } from './list.ts'
import { withPeer } from './peers.ts'
import { startService } from './service.ts'
import { signToken } from './token.ts'

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
 * Compares CPU time and latency with those of servers that write the same bytes when PostgreSQL notifies them of a
 * commit: bench/peers/fanout.ts in each of `ways`, or FastAPI.
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
      const createVariant = (
        name: string,
        { url, pid }: { url: string; pid: number },
        options: Pick<ConnectionOptions, 'opened' | 'headers' | 'checklistId'>,
        publish: (changes: number) => Promise<unknown>
      ) => ({
        name,
        round: (load: FanoutLoad, seconds: number) =>
          measureFanout(pid, { kind, url, ...options }, load, seconds, publish)
      })
      const variants = [createVariant('service', service, list.openOptions(kind), list.change)]
      for (const WAY of ways) {
        const [name, file] = WAY === 'FastAPI' ? [WAY, 'accounts.py'] : [WAY, 'fanout.ts']
        const authorization = `Bearer ${signToken(list.userId, env.JWT_SECRET)}`
        const options = { opened: 'HTTP/1.1', headers: { authorization } }
        const peer = await withPeer(file, { ...env, WAY, CHANGE }, peer =>
          createVariant(name, peer, options, list.notifyPeers)
        )
        variants.push(...peer)
      }
      return variants
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
