import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request as openRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import WebSocket from 'ws'
import { type Headers, person } from '../client.ts'

export type Tools = ReturnType<typeof createTools>
export type Person = Awaited<ReturnType<typeof person>>
export type Op = Record<string, unknown>

/** An item that an attack has added. */
export interface Item {
  itemId: string
  text: string
}

/** Limits of the attacker: it is one abusive client, and leaves the service some of two cores. */
const limits = {
  connections: 64,
  underway: 300,
  bufferedBytes: 1 << 20,
  reopenMs: 100,
  itemsAnOp: 200,
  opsAPush: 100
}

/**
 * The tools of attacks. All requests, frames and answers are counted; `reset()` begins anew, after the preparation.
 */
export function createTools({ url, databaseUrl }: { url: string; databaseUrl: string }) {
  const agent = new Agent({ keepAlive: true, maxSockets: limits.connections })
  const { hostname, port } = new URL(url)
  const answers = new Map<string, number>()
  let requests = 0

  return {
    url,
    request,
    pace,
    createSocket,
    openBareSocket,
    insist,
    createList,
    push,
    person: () => person(url),

    /** Returns a connection to the database, as an operator with psql has it. */
    sql: () => postgres(databaseUrl, { max: 1, onnotice: () => {} }),

    get counts() {
      return { requests, answers: Object.fromEntries(answers) }
    },

    reset() {
      requests = 0
      answers.clear()
    }
  }

  function count(answer: string) {
    answers.set(answer, (answers.get(answer) ?? 0) + 1)
  }

  /** Calls `act` so often a second, but not while 300 calls are underway, until the process ends. */
  async function pace(perSecond: number, act: (n: number) => unknown) {
    const start = performance.now()
    let underway = 0
    for (let n = 0; ; n++) {
      await sleep(Math.max(0, start + (n * 1000) / perSecond - performance.now()))
      if (underway === limits.underway) continue
      underway++
      Promise.resolve(act(n))
        .catch(error => count(error.code ?? error.message))
        .finally(() => underway--)
    }
  }

  interface Sent {
    headers?: Headers
    /** Sent as JSON unless it is a string. */
    body?: object | string
    /** The loopback address that the request comes from. */
    from?: string
  }

  /** Sends a request and reads the answer. */
  async function request(method: string, path: string, { headers, body, from }: Sent) {
    requests++
    const sent = openRequest(url + path, {
      method,
      agent,
      localAddress: from,
      headers: { ...headers, ...(body && { 'content-type': 'application/json' }) }
    })
    sent.end(typeof body === 'object' ? JSON.stringify(body) : body)
    const [response] = await once(sent, 'response')
    let text = ''
    for await (const chunk of response) text += chunk
    const status: number = response.statusCode
    count(`status ${status}`)
    return { status, text, retryAfter: Number(response.headers['retry-after']) }
  }

  /** Sends a request, again as long as it is answered 429 or 503, and returns the JSON of the answer. */
  async function insist(method: string, path: string, sent: Sent) {
    for (;;) {
      const { status, text, retryAfter } = await request(method, path, sent)
      if (status < 300) return JSON.parse(text)
      if (status !== 429 && status !== 503) throw new Error(`${path}: ${status} ${text}`)
      await sleep((retryAfter || 1) * 1000)
    }
  }

  /** Makes a checklist with items in a new project of its owner, where `editors` may write. */
  async function createList({ headers }: Person, editors: Person[], items: Item[]) {
    const { id: projectId } = await insist('POST', '/projects', { headers, body: { name: 'Fair' } })
    for (const { email } of editors) {
      const body = { email, role: 'editor' }
      await insist('POST', `/projects/${projectId}/members`, { headers, body })
    }
    const path = `/projects/${projectId}/checklists`
    const { id } = await insist('POST', path, { headers, body: { title: 'To buy' } })
    for (let n = 0; n < items.length; n += limits.itemsAnOp) {
      const some = items.slice(n, n + limits.itemsAnOp)
      await push(headers, id, [{ kind: 'item.add', items: some, after: null }])
    }
    return { id: id as string, projectId: projectId as string, items }
  }

  /** Pushes operations over HTTP until they are decided. */
  async function push(headers: Headers, listId: string, ops: Op[]) {
    for (let n = 0; n < ops.length; n += limits.opsAPush) {
      const body = { ops: ops.slice(n, n + limits.opsAPush).map(withId) }
      await insist('POST', `/checklists/${listId}/ops`, { headers, body })
    }
  }

  /**
   * Opens a socket on `/live`, which opens again whenever it was closed and sends `greeting` first. It reads and counts
   * what the service sends. A message is dropped while the socket is not open or has a megabyte unsent.
   */
  function createSocket(headers: Headers, greeting: object[] = []) {
    let socket = open()
    return {
      say(message: object | string) {
        if (socket.readyState !== WebSocket.OPEN) return
        if (socket.bufferedAmount > limits.bufferedBytes) return
        requests++
        socket.send(typeof message === 'string' ? message : JSON.stringify(message))
      },
      /** Stops reading. */
      pause() {
        if (socket.readyState === WebSocket.OPEN) socket.pause()
        else socket.once('open', () => socket.pause())
      }
    }

    function open(): WebSocket {
      requests++
      const opened = new WebSocket(`${url.replace('http', 'ws')}/live`, { headers })
      opened.on('error', error => count((error as NodeJS.ErrnoException).code ?? error.message))
      opened.on('open', () => {
        for (const message of greeting) opened.send(JSON.stringify(message))
      })
      opened.on('message', bytes => {
        for (const answer of answersIn(String(bytes))) count(answer)
      })
      opened.on('close', code => {
        count(`closed ${code}`)
        setTimeout(() => {
          socket = open()
        }, limits.reopenMs)
      })
      return opened
    }
  }

  /** Opens a TCP connection and sends the head of a request, and no more. */
  function openBareSocket(lines: string[], headers: Headers = {}): Socket {
    requests++
    const socket = connect(Number(port), hostname)
    socket.on('error', () => {})
    socket.once('data', bytes => count(`status ${String(bytes).slice(9, 12)}`))
    const fields = Object.entries({ host: `${hostname}:${port}`, ...headers })
    socket.write([...lines, ...fields.map(field => field.join(': ')), '', ''].join('\r\n'))
    return socket
  }
}

/** Returns an operation with an id of its own. */
export function withId(op: Op): Op {
  return { opId: randomUUID(), ...op }
}

/** Returns what to count of a message: of an `ack` its outcomes, of an `error` its code. */
function answersIn(text: string): string[] {
  const type = /^\{"type":"(\w+)"/.exec(text)?.[1] ?? 'other'
  if (type === 'error') return [`error ${/"code":"(\w+)"/.exec(text)?.[1]}`]
  if (type !== 'ack') return [type]
  return [...text.matchAll(/"outcome":"(\w+)"/g)].map(([, outcome]) => `ack ${outcome}`)
}
