import { connect, type Socket } from 'node:net'

export type Headers = Record<string, string>

/** Sends JSON and answers JSON; throws when that is refused. */
export async function post(url: string, headers: Headers, body: object) {
  const reply = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  if (!reply.ok) throw new Error(`${url}: ${reply.status} ${await reply.text()}`)
  return (await reply.json()) as Record<string, string>
}

/** Signs a new user up and in. `signIn()` returns the headers of another session. */
export async function person(url: string) {
  const account = { email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' }
  const { id = '' } = await post(`${url}/auth/signup`, {}, { ...account, name: 'Somebody' })
  return { id, email: account.email, headers: await signIn(), signIn }

  async function signIn(): Promise<Headers> {
    const { accessToken } = await post(`${url}/auth/signin`, {}, account)
    return { authorization: `Bearer ${accessToken}` }
  }
}

/** A list with items in a project of its own, and the way to change it. */
export async function makeList(
  url: string,
  headers: Headers,
  items: object[],
  viewers: string[] = []
) {
  const { id: projectId } = await post(`${url}/projects`, headers, { name: 'Fair' })
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

/** A stream of `GET /events` on a bare socket, which costs its reader least. */
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

/** Opens connections, a hundred at a time. */
export async function crowd<T>(count: number, open: (n: number) => Promise<T>): Promise<T[]> {
  const all: T[] = []
  while (all.length < count) {
    const some = Math.min(100, count - all.length)
    all.push(...(await Promise.all(Array.from({ length: some }, (_, n) => open(all.length + n)))))
  }
  return all
}
