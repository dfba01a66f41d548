import { ConcordError } from './errors.ts'
import type { Clock } from './types.ts'

export interface HttpRequest {
  body?: unknown
  /** access token, sent as `Authorization: Bearer` */
  token?: string
  /** `name=value`, for clients outside browsers. In browsers, scripts cannot set this header */
  cookie?: string
  signal?: AbortSignal
}

export interface Http {
  /** base of all paths, without a slash at its end */
  readonly address: string
  /**
   * Sends one request. Every failure is a `ConcordError`: NETWORK when no response of the service arrives, NOT_CONCORD
   * when the response cannot be one of this API, ABORTED, or the code of the service.
   */
  send<T>(
    method: string,
    path: string,
    request?: HttpRequest
  ): Promise<{ body: T; setCookie: string[] }>
}

export interface HttpParts {
  address: string
  fetch: typeof fetch
  clock: Clock
  /** aborts when the client is closed */
  closed: AbortSignal
}

const limits = { timeoutMs: 30_000 }

export function createHttp({ address, fetch, clock, closed }: HttpParts): Http {
  return {
    address,

    send: (method, path, { body, token, cookie, signal } = {}) =>
      withSignal([closed, signal], async (combined, abort) => {
        const stopTimer = clock.setTimeout(abort, limits.timeoutMs)
        try {
          const response = await fetch(address + path, {
            method,
            headers: {
              ...(body !== undefined && { 'content-type': 'application/json' }),
              ...(token && { authorization: `Bearer ${token}` }),
              ...(cookie && { cookie })
            },
            body: body === undefined ? undefined : JSON.stringify(body),
            credentials: 'include',
            // After a sign-out, the cache of the browser must not contain what the user has read.
            cache: 'no-store',
            signal: combined
          })
          const text = await response.text()
          const content = parseObject(text)
          if (!response.ok || (!content && response.status !== 204)) throw errorOf(response, text)
          return { body: content as never, setCookie: response.headers.getSetCookie?.() ?? [] }
        } catch (error) {
          if (error instanceof ConcordError) throw error
          if (signal?.aborted || closed.aborted) throw abortError(closed)
          throw new ConcordError('NETWORK', `no response from ${address}`, { cause: error })
        } finally {
          stopTimer()
        }
      })
  }
}

/** Calls `run` with a signal that aborts with the first of `signals`, or when `run` calls `abort`. */
export async function withSignal<T>(
  signals: (AbortSignal | undefined)[],
  run: (signal: AbortSignal, abort: () => void) => Promise<T>
): Promise<T> {
  const controller = new AbortController()
  const abort = () => controller.abort()
  for (const one of signals) one?.addEventListener('abort', abort)
  if (signals.some(one => one?.aborted)) abort()
  try {
    return await run(controller.signal, abort)
  } finally {
    for (const one of signals) one?.removeEventListener('abort', abort)
  }
}

/** Resolves or rejects as `promise`, or rejects with ABORTED as soon as `signal` aborts. */
export function unlessAborted<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const abort = () => reject(abortError())
    signal.addEventListener('abort', abort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** Returns the error of a call that was aborted. `closed` says whether the client was closed. */
export function abortError(closed?: AbortSignal): ConcordError {
  const message = closed?.aborted ? 'the client is closed' : 'the call was aborted'
  return new ConcordError('ABORTED', message)
}

/** Returns the error of a response that is not a success, or not JSON. */
export function errorOf({ status, headers }: Response, text: string): ConcordError {
  const seconds = headers.get('retry-after')
  const retryAfterMs = seconds !== null && /^\d+$/.test(seconds) ? Number(seconds) * 1000 : null
  const { code, message } = parseObject(text) ?? {}
  if (typeof code !== 'string' && (status >= 500 || status === 429)) {
    // A proxy responds in place of the service, for example while the service restarts.
    return new ConcordError('NETWORK', `a proxy responded with ${status}`, { status, retryAfterMs })
  }
  if (typeof code !== 'string' || code === 'ROUTE_NOT_FOUND' || code === 'METHOD_NOT_ALLOWED') {
    return new ConcordError(
      'NOT_CONCORD',
      `the address is wrong, or the service has another version: unexpected response (${status})`,
      { status }
    )
  }
  return new ConcordError(code, String(message), { status, retryAfterMs })
}

/** Returns whether the same request may succeed later. */
export function isTemporary({ code, status }: ConcordError): boolean {
  return code === 'NETWORK' || status === 429 || (status ?? 0) >= 500
}

/** Returns the object that a text contains as JSON; undefined for any other text. */
export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}
