import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request as openRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import postgres from 'postgres'
import WebSocket from 'ws'
import { connectLive, createUser, type Headers, type User } from '../support/client.ts'

export type Tools = ReturnType<typeof createTools>
export type Op = Record<string, unknown>

/** An item that an attack has added. */
export interface Item {
  itemId: string
  text: string
}

/** Limits of the attacker, so that it does not use all of two cores. */
const limits = {
  connections: 64,
  pending: 300,
  bufferedBytes: 1 << 20,
  reopenMs: 100,
  itemsPerOp: 200,
  opsPerPush: 100
}

/**
 * Creates the functions that attacks share. All requests, frames and responses are counted. `reset()` sets the counters to
 * zero, after the preparation of an attack.
 */
export function createTools({ url, databaseUrl }: { url: string; databaseUrl: string }) {
  const agent = new Agent({ keepAlive: true, maxSockets: limits.connections })
  const { hostname, port } = new URL(url)
  const responses = new Map<string, number>()
  let requests = 0

  return {
    url,
    request,
    atRate,
    createSocket,
    openBareSocket,
    requestUntilAccepted,
    createList,
    push,
    createUser: () => createUser(url),

    /** Opens a connection to the database, as psql does. */
    sql: () => postgres(databaseUrl, { max: 1, onnotice: () => {} }),

    get counts() {
      return { requests, responses: Object.fromEntries(responses) }
    },

    reset() {
      requests = 0
      responses.clear()
    }
  }

  function count(response: string) {
    responses.set(response, (responses.get(response) ?? 0) + 1)
  }

  /** Calls `act` `perSecond` times a second until the process exits, but not while 300 calls are pending. */
  async function atRate(perSecond: number, act: (n: number) => unknown) {
    const start = performance.now()
    let pending = 0
    for (let n = 0; ; n++) {
      await delay(Math.max(0, start + (n * 1000) / perSecond - performance.now()))
      if (pending === limits.pending) continue
      pending++
      Promise.resolve(act(n))
        .catch(error => count(error.code ?? error.message))
        .finally(() => pending--)
    }
  }

  interface RequestOptions {
    headers?: Headers
    /** sent as JSON unless it is a string */
    body?: object | string
    /** the loopback address from which the request is sent */
    from?: string
  }

  /** Sends a request and receives the whole response. */
  async function request(method: string, path: string, { headers, body, from }: RequestOptions) {
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

  /** Sends a request until the status is neither 429 nor 503. Returns the JSON of the response. */
  async function requestUntilAccepted(method: string, path: string, sent: RequestOptions) {
    for (;;) {
      const { status, text, retryAfter } = await request(method, path, sent)
      if (status < 300) return JSON.parse(text)
      if (status !== 429 && status !== 503) throw new Error(`${path}: ${status} ${text}`)
      await delay((retryAfter || 1) * 1000)
    }
  }

  /** Creates a checklist with items in a new project of its owner and of `editors`. */
  async function createList({ headers }: User, editors: User[], items: Item[]) {
    const { id: projectId } = await requestUntilAccepted('POST', '/projects', {
      headers,
      body: { name: 'Fair' }
    })
    for (const { email } of editors) {
      const body = { email, role: 'editor' }
      await requestUntilAccepted('POST', `/projects/${projectId}/members`, { headers, body })
    }
    const path = `/projects/${projectId}/checklists`
    const { id } = await requestUntilAccepted('POST', path, { headers, body: { title: 'To buy' } })
    for (let n = 0; n < items.length; n += limits.itemsPerOp) {
      const batch = items.slice(n, n + limits.itemsPerOp)
      await push(headers, id, [{ kind: 'item.add', items: batch, after: null }])
    }
    return { id: id as string, projectId: projectId as string, items }
  }

  /** Pushes operations over HTTP, again until they are decided. */
  async function push(headers: Headers, listId: string, ops: Op[]) {
    for (let n = 0; n < ops.length; n += limits.opsPerPush) {
      const body = { ops: ops.slice(n, n + limits.opsPerPush).map(withId) }
      await requestUntilAccepted('POST', `/checklists/${listId}/ops`, { headers, body })
    }
  }

  /**
   * Opens a socket on `/live`, which reconnects whenever it is closed and sends `firstMessages` after each connect. It counts
   * the messages that it receives. `send` drops the message while the socket is not open or has a megabyte unsent.
   */
  function createSocket(headers: Headers, firstMessages: object[] = []) {
    let socket = open()
    return {
      send(message: object | string) {
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
      const opened = connectLive(url, headers)
      opened.on('error', error => count((error as NodeJS.ErrnoException).code ?? error.message))
      opened.on('open', () => {
        for (const message of firstMessages) opened.send(JSON.stringify(message))
      })
      opened.on('message', bytes => {
        for (const response of responsesIn(String(bytes))) count(response)
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

  /** Opens a TCP connection and sends only the head of a request. */
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

/** Returns the operation with a new id. */
export function withId(op: Op): Op {
  return { opId: randomUUID(), ...op }
}

/** Returns what is counted of a message: the outcomes of an `ack`, the code of an `error`. */
function responsesIn(text: string): string[] {
  const type = /^\{"type":"(\w+)"/.exec(text)?.[1] ?? 'other'
  if (type === 'error') return [`error ${/"code":"(\w+)"/.exec(text)?.[1]}`]
  if (type !== 'ack') return [type]
  return [...text.matchAll(/"outcome":"(\w+)"/g)].map(([, outcome]) => `ack ${outcome}`)
}
