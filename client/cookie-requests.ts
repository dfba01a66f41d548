import { claimsOf } from './access-token.ts'
import { abortError, type Http, withSignal } from './http.ts'
import type { SessionMarker } from './session-marker.ts'

/**
 * The requests that change the refresh cookie. A sign-in or sign-out aborts the request before it, and a refresh waits for
 * `changing`. Outside browsers, the cookie is kept here.
 */
export function createCookieRequests(http: Http, closed: AbortSignal, marker: SessionMarker) {
  let cookie: string | undefined
  let inFlight = new AbortController()
  let changing: Promise<unknown> | null = null

  return {
    /** Resolves when the sign-in or sign-out in flight has ended; null when there is none. */
    changing: () => changing?.catch(() => {}) ?? null,

    /** Returns the signal of a refresh that begins now. */
    begin(): AbortSignal {
      inFlight = new AbortController()
      return inFlight.signal
    },

    /** Runs a sign-in or sign-out. */
    change<T>(signal: AbortSignal | undefined, run: (signal: AbortSignal) => Promise<T>) {
      inFlight.abort()
      const mine = withSignal([signal], (combined, abort) => {
        inFlight = new AbortController()
        inFlight.signal.addEventListener('abort', abort)
        return run(combined)
      }).finally(() => {
        if (changing === mine) changing = null
      })
      changing = mine
      return mine
    },

    /** Sends a request that returns an access token and sets the cookie. */
    async authenticate(path: string, signal: AbortSignal, body?: unknown) {
      const sent = await http.send<{ accessToken: string }>('POST', path, { body, cookie, signal })
      marker.set(true)
      if (signal.aborted) throw abortError(closed)
      const [pair] = sent.setCookie.find(one => one.startsWith('refresh='))?.split(';') ?? []
      if (pair) cookie = pair
      const token = sent.body.accessToken
      return { token, userId: claimsOf(token).sub }
    },

    signOut: (signal: AbortSignal) => http.send('POST', '/auth/signout', { cookie, signal }),

    forget() {
      cookie = undefined
    }
  }
}
