import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import WebSocket, { WebSocketServer } from 'ws'
import { crowd, type Headers, makeList, openStream, person } from './client.ts'
import { startService } from './service.ts'

/*
 * What does one delivered change cost? 1,000 streams, then 1,000 sockets, hear of the same changes, one a
 * commit and ten a commit, beside a bare server of node:http and of ws that writes the same bytes to as many
 * connections as soon as it is told to. The figure is CPU time of the server's process for one delivery; the
 * service's has everything in it: the request, reading the log, routing.
 *
 * node bench/fanout.ts [seconds a measurement = 5]
 */
const seconds = Number(process.argv[2] ?? 5)
const size = { connections: 1000, text: 'Order 12 white chairs for the summer fair' }
const loads = [
  { changes: 1, commits: 20 },
  { changes: 10, commits: 4 }
]
const kinds = ['stream', 'socket'] as const
type Kind = (typeof kinds)[number]

/** A server under test: where it is, what it used, and the way to make it tell everybody. */
interface Subject {
  url: string
  headers: Headers
  checklistId: string
  cpuSeconds(): Promise<number>
  /** Tells everybody of so many changes at once. */
  tell(changes: number): Promise<unknown>
}

if (process.send) bareServer()
else await main()

async function main() {
  const service = await startService()
  const child = fork(import.meta.filename)
  try {
    const ours = await concord(service.url)
    const bare = await bareSubject(child)
    const rows: Record<string, object> = {}
    for (const kind of kinds) {
      for (const load of loads) {
        const [a, b] = [await measure(ours, kind, load), await measure(bare, kind, load)]
        rows[`${kind}, ${load.changes} a commit`] = {
          'Concord µs': Number(a.toFixed(1)),
          'bare µs': Number(b.toFixed(1)),
          ratio: Number((a / b).toFixed(2))
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

/** Microseconds of the server's CPU for each message that arrived. */
async function measure(subject: Subject, kind: Kind, { changes, commits }: (typeof loads)[0]) {
  const counts = { messages: 0 }
  const sockets = await crowd(size.connections, () => open(subject, kind, () => counts.messages++))
  await sleep(1000) // everybody is told who else came
  counts.messages = 0
  const before = await subject.cpuSeconds()
  const end = performance.now() + seconds * 1000
  let told = 0
  for (let next = performance.now(); next < end; next += 1000 / commits) {
    await sleep(Math.max(0, next - performance.now()))
    await subject.tell(changes)
    told += changes
  }
  while (counts.messages < told * size.connections) await sleep(10)
  const used = (await subject.cpuSeconds()) - before
  for (const socket of sockets) socket.destroy()
  return (used * 1e6) / counts.messages
}

/** A stream or a socket that tells of every change. */
async function open({ url, headers, checklistId }: Subject, kind: Kind, onChange: () => void) {
  if (kind === 'stream') {
    // The bare server's come in chunks.
    const stream = openStream(url, headers, block => block.includes('event: item.') && onChange())
    await once(stream, 'data')
    return stream
  }
  const socket = new WebSocket(`${url.replace('http', 'ws')}/live`, { headers })
  socket.on('message', data => String(data).startsWith('{"type":"changes"') && onChange())
  await once(socket, 'open')
  socket.send(JSON.stringify({ type: 'open', checklistId }))
  return { destroy: () => socket.terminate() }
}

/** The service, with one person, who has a list of ten items. */
async function concord(url: string): Promise<Subject> {
  const { headers } = await person(url)
  const items = Array.from({ length: 10 }, () => ({
    itemId: randomUUID(),
    text: size.text,
    done: false
  }))
  const { id: checklistId, push } = await makeList(url, headers, items)

  return {
    url,
    headers,
    checklistId,
    async cpuSeconds() {
      const metrics = await (await fetch(`${url}/metrics`)).text()
      return Number(/^process_cpu_seconds_total (.*)$/m.exec(metrics)?.[1])
    },
    tell(changes) {
      const ops = items.slice(0, changes).map(item => {
        const set = { done: { from: item.done, to: !item.done } }
        item.done = !item.done
        return { kind: 'item.set', itemId: item.itemId, set }
      })
      return push(ops)
    }
  }
}

async function bareSubject(child: ChildProcess): Promise<Subject> {
  const ask = async (question: object) => {
    child.send(question)
    const [answer] = await once(child, 'message')
    return answer as number
  }
  const [port] = await once(child, 'message')
  return {
    url: `http://127.0.0.1:${port}`,
    headers: {},
    checklistId: '',
    cpuSeconds: () => ask({}),
    tell: changes => ask({ changes })
  }
}

/** In a process of its own: writes what it is told to whoever is connected. */
function bareServer() {
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
