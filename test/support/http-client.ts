import { randomBytes } from 'node:crypto'
import {
  Agent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request
} from 'node:http'
import { text } from 'node:stream/consumers'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { build, listen, PASSWORD } from './app.ts'

/** An answer that came over a socket. */
export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  text: string
  /** The body, or an empty object when it is no JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests ask for what is not there, too
  body: any
  /** What a browser would send back: `refresh=…`. */
  cookie: string
}

export interface Call {
  body?: unknown
  token?: string
  cookie?: string
  headers?: OutgoingHttpHeaders
}

export type Caller = ReturnType<typeof caller>

/** Calls a listening service over real sockets, 50 at most, with headers as they are given. */
export function caller(t: Test, base: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: 50 })
  t.teardown(() => agent.destroy())

  return async (method: string, path: string, call: Call = {}): Promise<Answer> => {
    const { body, token, cookie, headers } = call
    const content = typeof body === 'string' || body === undefined ? body : JSON.stringify(body)
    const sent = request(base + path, {
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
    const reply = await new Promise<IncomingMessage>((resolve, reject) =>
      sent.on('response', resolve).on('error', reject)
    )
    const answer = await text(reply)
    return {
      status: reply.statusCode ?? 0,
      headers: reply.headers,
      text: answer,
      body: parsed(answer),
      cookie: reply.headers['set-cookie']?.[0]?.split(';', 1)[0] ?? ''
    }
  }
}

/** A listening node and the way to call it. */
export async function node(t: Test, env: NodeJS.ProcessEnv = {}) {
  const app: FastifyInstance = await build(t, env)
  const base = await listen(t, app)
  return { app, base, call: caller(t, base) }
}

/** Somebody with an account and one session. */
export async function newcomer(call: Caller, { password = PASSWORD, name = 'Ann' } = {}) {
  const email = `${randomBytes(6).toString('hex')}@example.com`
  const { body } = await call('POST', '/auth/signup', { body: { email, password, name } })
  return { id: body.id as string, email, password, ...(await enter(call, { email, password })) }
}

/** One more session. */
export async function enter(
  call: Caller,
  { email, password }: { email: string; password: string }
) {
  const { body, cookie } = await call('POST', '/auth/signin', { body: { email, password } })
  return { token: body.accessToken as string, cookie }
}

/** The session that an access token belongs to. */
export function sessionOf(token: string): string {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).sid
}

export function times<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => make(index)))
}

function parsed(content: string) {
  try {
    return JSON.parse(content)
  } catch {
    return {}
  }
}
