import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import WebSocket from 'ws'

export type Headers = Record<string, string>

export type BenchUser = Awaited<ReturnType<typeof registerUser>>

/** Signs a new user up and in. `signIn()` returns the headers of a further session. */
export async function registerUser(url: string) {
  const account = { email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' }
  const { id = '' } = await post(`${url}/auth/signup`, {}, { ...account, name: 'Bench' })
  return { id, ...account, headers: await signIn(), signIn }

  async function signIn(): Promise<Headers> {
    const { accessToken } = await post(`${url}/auth/signin`, {}, account)
    return { authorization: `Bearer ${accessToken}` }
  }
}

/**
 * Creates a checklist with items in a project of its own. Returns its id and a function that pushes operations to it.
 */
export async function addChecklist(
  url: string,
  headers: Headers,
  items: object[],
  viewers: string[] = []
) {
  const { id: projectId } = await post(`${url}/projects`, headers, { name: 'Bench' })
  const project = `${url}/projects/${projectId}`
  for (const email of viewers) await post(`${project}/members`, headers, { email, role: 'viewer' })
  const { id = '' } = await post(`${project}/checklists`, headers, { title: 'To buy' })
  const push = (ops: object[]) =>
    post(`${url}/checklists/${id}/ops`, headers, {
      ops: ops.map(op => ({ opId: crypto.randomUUID(), ...op }))
    })
  await push([{ kind: 'item.add', items, after: null }])
  return { id, push }
}

/** Sends JSON and returns the JSON of the response. Throws unless the status is 2xx. */
export async function post(url: string, headers: Headers, body: object) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  return (await response.json()) as Record<string, string>
}

/** Opens `GET /events` on a TCP socket, which costs the client less CPU time than fetch. */
export function openStream(
  url: string,
  headers: Headers,
  onBlock: (block: string) => void
): Socket {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const lines = Object.entries({ host: 'localhost', ...headers }).map(
    ([name, value]) => `${name}: ${value}`
  )
  socket.write(['GET /events HTTP/1.1', ...lines, '', ''].join('\r\n'))
  let rest = ''
  socket.on('error', () => {})
  socket.setEncoding('utf8').on('data', chunk => {
    const blocks = `${rest}${chunk}`.split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) onBlock(block)
  })
  return socket
}

/** Starts a WebSocket on `/live`. */
export function connectLive(url: string, headers: Headers): WebSocket {
  return new WebSocket(`${url.replace('http', 'ws')}/live`, { headers })
}

/** Opens a WebSocket on `/live` and a checklist on it. */
export async function openLive(
  url: string,
  headers: Headers,
  checklistId: string,
  onMessage?: (text: string) => void
): Promise<WebSocket> {
  const socket = connectLive(url, headers)
  if (onMessage) socket.on('message', data => onMessage(String(data)))
  await once(socket, 'open')
  socket.send(JSON.stringify({ type: 'open', checklistId }))
  return socket
}

/** Opens connections, a hundred at a time. */
export async function openMany<T>(count: number, open: (n: number) => Promise<T>): Promise<T[]> {
  const all: T[] = []
  while (all.length < count) {
    const batch = Math.min(100, count - all.length)
    all.push(...(await Promise.all(Array.from({ length: batch }, (_, n) => open(all.length + n)))))
  }
  return all
}

/** Returns the values of `GET /metrics` by name and labels. */
export async function readMetrics(url: string): Promise<Record<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const lines = text.matchAll(/^([a-z_]+(?:\{[^}]*\})?) ([\d.e+-]+)$/gm)
  return Object.fromEntries([...lines].map(([, name, value]) => [name, Number(value)]))
}

/** Returns the CPU time of all processes of a node. */
export async function readCpuSeconds(url: string): Promise<number> {
  return (await readMetrics(url)).process_cpu_seconds_total ?? Number.NaN
}
