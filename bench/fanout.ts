import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocketServer } from 'ws'
import {
  addChecklist,
  type Headers,
  openLive,
  openMany,
  openStream,
  readCpuSeconds,
  registerUser
} from './support/client.ts'
import { startService } from './support/service.ts'
import { round } from './support/statistics.ts'

/*
 * Measures the CPU time in which the service delivers one change to one of 1,000 streams or 1,000 sockets, for commits
 * of one change and of ten changes. Compares this time with that of a bare server of node:http and ws, which writes the
 * same bytes to as many connections. The CPU time of the service includes the request, the query of the log and the
 * routing.
 *
 * node bench/fanout.ts [seconds of each measurement = 5]
 */
const seconds = Number(process.argv[2] ?? 5)
const size = { connections: 1000, text: 'Order 12 white chairs for the summer fair' }
// `commits` is the number of commits per second.
const loads = [
  { name: '1 change in a commit', changes: 1, commits: 20 },
  { name: '10 changes in a commit', changes: 10, commits: 4 }
]
const kinds = ['stream', 'socket'] as const
type Kind = (typeof kinds)[number]

/** A server whose CPU time is measured. */
interface Server {
  url: string
  headers: Headers
  checklistId: string
  /** Returns the CPU time that the server process has used so far. */
  cpuSeconds(): Promise<number>
  /** Sends a number of changes to all connections. */
  publish(changes: number): Promise<unknown>
}

if (process.send) runBareServer()
else await main()

async function main() {
  const service = await startService()
  const child = fork(import.meta.filename)
  try {
    const concord = await createConcord(service.url)
    const bare = await createBare(child)
    const rows: Record<string, object> = {}
    for (const kind of kinds) {
      for (const load of loads) {
        const [a, b] = [await measure(concord, kind, load), await measure(bare, kind, load)]
        rows[`${kind}, ${load.name}`] = {
          'Concord µs': round(a, 1),
          'bare µs': round(b, 1),
          ratio: round(a / b, 2)
        }
      }
    }
    console.log(`CPU time of the server for one delivery, ${size.connections} connections`)
    console.table(rows)
  } finally {
    child.kill()
    await service.stop()
  }
}

/** Returns the CPU time of the server for each delivered change, in microseconds. */
async function measure(server: Server, kind: Kind, { changes, commits }: (typeof loads)[0]) {
  let received = 0
  const connections = await openMany(size.connections, () => open(server, kind, () => received++))
  await delay(1000) // time until all presence messages have been received
  received = 0
  const before = await server.cpuSeconds()
  const end = performance.now() + seconds * 1000
  let published = 0
  for (let next = performance.now(); next < end; next += 1000 / commits) {
    await delay(Math.max(0, next - performance.now()))
    await server.publish(changes)
    published += changes
  }
  while (received < published * size.connections) await delay(10)
  const used = (await server.cpuSeconds()) - before
  for (const connection of connections) connection.destroy()
  return (used * 1e6) / received
}

/** Opens a stream or a socket that calls `onChange` for each change. */
async function open({ url, headers, checklistId }: Server, kind: Kind, onChange: () => void) {
  if (kind === 'stream') {
    // The bare server sends chunked bodies, so a block may begin with the length of a chunk.
    const stream = openStream(url, headers, block => block.includes('event: item.') && onChange())
    await once(stream, 'data')
    return stream
  }
  const socket = await openLive(
    url,
    headers,
    checklistId,
    text => text.startsWith('{"type":"changes"') && onChange()
  )
  return { destroy: () => socket.terminate() }
}

/** Creates a user and a checklist of ten items in the service. */
async function createConcord(url: string): Promise<Server> {
  const { headers } = await registerUser(url)
  const items = Array.from({ length: 10 }, () => ({
    itemId: randomUUID(),
    text: size.text,
    done: false
  }))
  const { id: checklistId, push } = await addChecklist(url, headers, items)

  return {
    url,
    headers,
    checklistId,
    cpuSeconds: () => readCpuSeconds(url),
    publish(changes) {
      const ops = items.slice(0, changes).map(item => {
        const set = { done: { from: item.done, to: !item.done } }
        item.done = !item.done
        return { kind: 'item.set', itemId: item.itemId, set }
      })
      return push(ops)
    }
  }
}

async function createBare(child: ChildProcess): Promise<Server> {
  const request = async (message: object) => {
    child.send(message)
    const [response] = await once(child, 'message')
    return response as number
  }
  const [port] = await once(child, 'message')
  return {
    url: `http://127.0.0.1:${port}`,
    headers: {},
    checklistId: '',
    cpuSeconds: () => request({}),
    publish: changes => request({ changes })
  }
}

/**
 * Runs the bare server in the child process, which writes the requested number of changes to all connections and
 * reports its CPU time.
 */
function runBareServer() {
  const streams = new Set<ServerResponse>()
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('retry: 1000\n\n')
    streams.add(response)
    response.on('close', () => streams.delete(response))
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', socket => socket.on('error', () => {}))
  const change = `"rev":1,"itemId":"${randomUUID()}","actorId":"${randomUUID()}","before":{"text":"${size.text}"},"after":{"text":"${size.text}"}`
  const sse = Buffer.from(`event: item.updated\nid: 1.1\ndata: {${change}}\n\n`)
  const frame = Buffer.from(`{"type":"changes","changes":[{${change}}]}`)
  process.on('message', ({ changes = 0 }: { changes?: number }) => {
    for (let n = 0; n < changes; n++) {
      for (const stream of streams) stream.write(sse)
      for (const socket of sockets.clients) socket.send(frame, { binary: false })
    }
    const { user, system } = process.cpuUsage()
    process.send?.((user + system) / 1e6)
  })
  process.on('disconnect', () => process.exit())
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
}
