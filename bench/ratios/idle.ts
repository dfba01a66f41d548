import { setTimeout as delay } from 'node:timers/promises'
import { registerUser } from '../support/client.ts'
import { compare, type Figures, measure } from '../support/compare.ts'
import { type ConnectionOptions, openConnections } from '../support/connections.ts'
import { readMemory, readProcesses, treeSeconds } from '../support/cpu.ts'
import { createSharedList } from '../support/list.ts'
import { startPeer } from '../support/peers.ts'
import { startService } from '../support/service.ts'

/*
 * Compares 10,000 connections on which nothing happens with those of node:http and ws: the time of opening, the memory,
 * and the CPU time at rest. Each round starts its server anew, because memory that was used once stays with a process.
 */
const count = 10_000
const restSeconds = 3

interface Load {
  kind: 'stream' | 'socket'
  isOnList?: boolean
}

await compare<Load>({
  title: 'Idle connections',
  loads: {
    '10,000 streams': { kind: 'stream' },
    '10,000 sockets': { kind: 'socket' },
    '10,000 sockets on one list': { kind: 'socket', isOnList: true }
  },
  async start(env) {
    return [
      {
        name: 'service',
        async round({ kind, isOnList }) {
          const service = await startService(env)
          const { headers } = await registerUser(service.url)
          const welcome = { headers, opened: kind === 'stream' ? 'event: ready' : '"welcome"' }
          const list = isOnList && (await createSharedList(service.url, env.DATABASE_URL))
          const options = list ? list.openOptions(kind) : welcome
          return measureIdle(service, { kind, url: service.url, ...options })
        }
      },
      {
        name: 'node:http or ws',
        async round({ kind }) {
          const peer = await startPeer('fanout.ts', env)
          return measureIdle(peer, { kind, url: peer.url, opened: 'HTTP/1.1' })
        }
      }
    ]
  }
})

/** Opens the connections, waits, and stops the server. */
async function measureIdle(
  server: { pid: number; stop(): Promise<void> },
  options: Omit<ConnectionOptions, 'count'>
): Promise<Figures> {
  const { pid } = server
  const before = await readMemory(pid)
  let connections: Awaited<ReturnType<typeof openConnections>> | undefined
  const figures = await measure('connection', pid, async () => {
    connections = await openConnections({ ...options, count })
    return { count, 'opening s': connections.openMs / 1000 }
  })
  await delay(restSeconds * 1000)
  const memory = await readMemory(pid)
  const start = treeSeconds(await readProcesses(), pid)
  await delay(restSeconds * 1000)
  const rest = treeSeconds(await readProcesses(), pid) - start
  await connections?.close()
  await server.stop()
  return {
    ...figures,
    'KB/connection': (memory - before) / 1024 / count,
    'CPU at rest, cores': rest / restSeconds
  }
}
