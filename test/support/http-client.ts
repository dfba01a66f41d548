import type { OutgoingHttpHeaders } from 'node:http'
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'

export interface HttpResponse {
  status: number
  headers: IncomingHttpHeaders
  text: string
  /** The body as JSON, or an empty object when it is not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read fields that no schema has, too
  body: any
  /** The first cookie that the response sets, as a browser sends it back: `refresh=…`. */
  cookie: string
}

export interface HttpRequest {
  body?: unknown
  token?: string
  cookie?: string
  headers?: OutgoingHttpHeaders
}

export type HttpClient = ReturnType<typeof httpClient>

/** Returns a function that sends requests over at most 50 real sockets, with the headers as given. */
export function httpClient(t: Pick<Test, 'teardown'>, url: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: 50 })
  t.teardown(() => agent.destroy())

  return async (method: string, path: string, options: HttpRequest = {}): Promise<HttpResponse> => {
    const { body, token, cookie, headers } = options
    const content = typeof body === 'string' || body === undefined ? body : JSON.stringify(body)
    const sent = request(url + path, {
      method,
      agent,
      headers: {
        ...(content !== undefined && {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(content)
        }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(cookie !== undefined && { cookie }),
        ...headers
      }
    })
    sent.end(content)
    const response = await new Promise<IncomingMessage>((resolve, reject) =>
      sent.on('response', resolve).on('error', reject)
    )
    const received = await text(response)
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      text: received,
      body: parseJson(received),
      cookie: response.headers['set-cookie']?.[0]?.split(';', 1)[0] ?? ''
    }
  }
}

function parseJson(content: string) {
  try {
    return JSON.parse(content)
  } catch {
    return {}
  }
}
