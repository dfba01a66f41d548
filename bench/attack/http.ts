import { once } from 'node:events'
import { Agent, request as openRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Headers } from '../support/client.ts'
import type { Counter } from './counter.ts'

const maxConnections = 64

interface RequestOptions {
  headers?: Headers
  /** sent as JSON unless it is a string */
  body?: object | string
  /** the loopback address from which the request is sent */
  from?: string
}

/** Creates an HTTP client that counts requests and responses. */
export function createHttpClient(url: string, counter: Counter) {
  const agent = new Agent({ keepAlive: true, maxSockets: maxConnections })
  const { hostname, port } = new URL(url)

  return { request, requestUntilAccepted, openBareSocket }

  /** Sends a request and receives the whole response. */
  async function request(method: string, path: string, { headers, body, from }: RequestOptions) {
    counter.addRequest()
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
    counter.addResponse(`status ${status}`)
    return { status, text, retryAfter: Number(response.headers['retry-after']) }
  }

  /** Sends a request again until its status is neither 429 nor 503. Returns the JSON of the response. */
  async function requestUntilAccepted(method: string, path: string, options: RequestOptions) {
    for (;;) {
      const { status, text, retryAfter } = await request(method, path, options)
      if (status < 300) return JSON.parse(text)
      if (status !== 429 && status !== 503) throw new Error(`${path}: ${status} ${text}`)
      await delay((retryAfter || 1) * 1000)
    }
  }

  /** Opens a TCP connection and sends only the head of a request. */
  function openBareSocket(lines: string[], headers: Headers = {}): Socket {
    counter.addRequest()
    const socket = connect(Number(port), hostname)
    socket.on('error', () => {})
    socket.once('data', bytes => counter.addResponse(`status ${String(bytes).slice(9, 12)}`))
    const fields = Object.entries({ host: `${hostname}:${port}`, ...headers })
    socket.write([...lines, ...fields.map(field => field.join(': ')), '', ''].join('\r\n'))
    return socket
  }
}
