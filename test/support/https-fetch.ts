import type { IncomingMessage } from 'node:http'
import {
  type ClientHttp2Session,
  connect,
  constants,
  type SecureClientSessionOptions
} from 'node:http2'
import { request } from 'node:https'
import { Readable } from 'node:stream'
import type { Test } from 'tap'

export type HttpVersion = '1.1' | '2'

export interface HttpsRequest {
  method?: string
  headers?: Record<string, string>
  body?: string
  signal?: AbortSignal | null
}

export type HttpsFetch = (url: string | URL, init?: HttpsRequest) => Promise<Response>

/** Returns a function like `fetch` that uses this version of HTTP, and one TLS connection as long as it stays open. */
export function httpsFetch(t: Test, version: HttpVersion, localAddress?: string): HttpsFetch {
  return version === '2' ? overHttp2(t, localAddress) : overHttp1(localAddress)
}

function overHttp1(localAddress?: string): HttpsFetch {
  return async (url, { method = 'GET', headers = {}, body, signal } = {}) => {
    const sent = request(url, {
      method,
      headers,
      localAddress,
      agent: false,
      signal: signal ?? undefined
    })
    sent.end(body)
    const response = await new Promise<IncomingMessage>((resolve, reject) =>
      sent.on('response', resolve).on('error', reject)
    )
    return toResponse(response, response.statusCode ?? 0, response.headersDistinct)
  }
}

function overHttp2(t: Test, localAddress?: string): HttpsFetch {
  let session: ClientHttp2Session | undefined
  t.teardown(() => session?.destroy())

  return async (url, { method = 'GET', headers = {}, body, signal } = {}) => {
    const { origin, pathname, search } = new URL(url)
    if (!session || session.closed || session.destroyed) {
      session = connect(origin, { localAddress } as SecureClientSessionOptions)
      session.on('error', () => {}) // its streams emit the error, too
    }
    const { HTTP2_HEADER_METHOD, HTTP2_HEADER_PATH } = constants
    const stream = session.request(
      { ...headers, [HTTP2_HEADER_METHOD]: method, [HTTP2_HEADER_PATH]: pathname + search },
      { endStream: false, signal: signal ?? undefined }
    )
    stream.end(body)
    const received = await new Promise<Record<string, unknown>>((resolve, reject) =>
      stream.on('response', resolve).on('error', reject)
    )
    const { ':status': status, ...fields } = received
    return toResponse(stream, Number(status), fields)
  }
}

function toResponse(body: Readable, status: number, fields: Record<string, unknown>): Response {
  body.on('error', () => {}) // the reader of the response receives it
  const headers = new Headers()
  for (const [name, values] of Object.entries(fields)) {
    for (const value of [values].flat()) headers.append(name, String(value))
  }
  const isEmpty = status === 204 || status === 304
  return new Response(isEmpty ? null : (Readable.toWeb(body) as ReadableStream), {
    status,
    headers
  })
}
