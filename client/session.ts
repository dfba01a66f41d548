import { type AccessToken, claimsOf, readAccessToken } from './access-token.ts'
import { createCookieRequests } from './cookie-requests.ts'
import type { ConcordError } from './errors.ts'
import { abortError, type Http, unlessAborted } from './http.ts'
import { onPageEvent } from './page.ts'
import { type Readable, writable } from './readable.ts'
import { createRefreshTimer } from './refresh-timer.ts'
import type { SessionMarker } from './session-marker.ts'
import { isForGood, isMoreExact, signedOutError } from './signed-out.ts'
import type { Storage } from './storage.ts'
import { createStoredUser } from './stored-user.ts'
import type { Bus } from './tabs.ts'
import type { Call, Clock, LogLine, Me, Session, SignedOutReason, User } from './types.ts'

export interface SessionParts {
  http: Http
  storage: Storage
  bus: Bus
  clock: Clock
  log: (line: LogLine) => void
  /** aborts when the client is closed */
  closed: AbortSignal
  /** true when the refresh cookie opens streams and sockets; false when they need an access token */
  isBrowser: boolean
  /** whether `fetch` may have a refresh cookie */
  marker: SessionMarker
}

export interface SessionManager {
  readonly state: Readable<Session>
  /**
   * Resolves with an access token that is valid for some seconds more. Refreshes it when needed, once for all callers.
   * Rejects with SIGNED_OUT, also when the user changes meanwhile, and with NETWORK, ABORTED or a code of the service.
   */
  token(signal?: AbortSignal): Promise<string>
  /** Sends a request with the access token. When the service refuses the token, refreshes it and retries once. */
  request<T>(method: string, path: string, options?: Call & { body?: unknown }): Promise<T>
  signUp(account: { email: string; password: string; name: string }, call?: Call): Promise<User>
  signIn(account: { email: string; password: string }, call?: Call): Promise<Me>
  signOut(call?: Call): Promise<void>
  /** Shows a new name of the user in all tabs. */
  rename(user: Me): void
  /** Signs out all tabs without a request. */
  leave(reason: SignedOutReason): void
  /** Returns false when a connection belongs to another user than `state` says: the browser has a new cookie. */
  isUser(userId: string): boolean
  /** Checks with a refresh whether the session has ended. `reason` is the reason if it has. */
  ended(reason: SignedOutReason): void
  /** Refreshes the token before it expires, as long as `isNeeded`. A repeated call, after waking, retries at once. */
  keepFresh(isNeeded: boolean): void
  /** Resolves with the headers that open a stream or socket. */
  headers(signal?: AbortSignal): Promise<Record<string, string>>
  /** Calls `run` with every new access token. */
  onToken(run: (token: string) => void): () => void
  close(): void
}

/** A message to the other tabs: the user has signed in, has a new name, or is signed out. */
type SessionMessage = { user: Me; token?: string } | { reason: SignedOutReason }

/** Signs users in and out, and keeps the access token, in memory only. All tabs follow over the bus. */
export function createSessionManager(parts: SessionParts): SessionManager {
  const { http, storage, bus, clock, log, closed, isBrowser, marker } = parts
  const canResume = marker.isSet()
  const state = writable<Session>(
    canResume ? { state: 'unknown' } : { state: 'signed-out', reason: null }
  )
  const requests = createCookieRequests(http, closed, marker)
  const stored = createStoredUser(storage, clock, log)
  const tokenListeners = new Set<(token: string) => void>()
  let access: AccessToken | null = null
  /** aborts when the user signs out or another user signs in: results of earlier requests do not count any more */
  let user = new AbortController()
  let refreshing: Promise<string> | null = null
  /** whether the service has confirmed the user since the start, or since the session was reported as ended */
  let isVerified = !canResume
  let endReason: SignedOutReason | null = null
  let isNeeded = false
  const timer = createRefreshTimer({ clock, log, dueMs: refreshDueMs, refresh })
  const unsubscribe = [
    bus.on<SessionMessage>('session', message => {
      if ('user' in message) enter(message.user, message.token, false)
      else if (isForGood(message.reason)) signedOut(message.reason, false)
      else ended(message.reason)
    }),
    bus.on<string>('token', token => {
      if (userOf(state.get())?.id === claimsOf(token).sub) acceptToken(token)
    }),
    // Messages do not reach a page in the back/forward cache: meanwhile, the user may have changed in another tab.
    onPageEvent('pageshow', ({ persisted }) => {
      if (persisted && (userOf(state.get()) || marker.isSet())) verify()
    })
  ]
  start()

  return {
    state,
    token,

    async request(method, path, { body, signal } = {}) {
      const mine = user.signal
      const send = async (token: string) =>
        (await http.send<never>(method, path, { body, token, signal })).body
      const first = await token(signal)
      try {
        return await send(first)
      } catch (error) {
        if (!isTokenRefused(error)) throw error
        if (access?.token === first) access = null
        if (mine.aborted) throw signedOutError(error)
        return send(await token(signal))
      }
    },

    // Both send only the fields that the service knows: the caller may have an object with more.
    signUp: async ({ email, password, name }, { signal } = {}) => {
      const body = { email, password, name }
      return (await http.send<User>('POST', '/auth/signup', { body, signal })).body
    },

    signIn: ({ email, password }, { signal } = {}) =>
      requests.change(signal, async signal => {
        const { token } = await requests.authenticate('/auth/signin', signal, { email, password })
        const me = await findMe(token, signal)
        enter(me, token, true)
        await stored.settled()
        return me
      }),

    signOut: ({ signal } = {}) =>
      requests.change(signal, async signal => {
        await requests.signOut(signal)
        signedOut('signed_out', true)
        await stored.settled()
      }),

    rename(me) {
      if (userOf(state.get())?.id === me.id) enter(me, undefined, true)
    },

    leave: reason => signedOut(reason, true),

    isUser: userId => (userOf(state.get())?.id ?? userId) === userId,

    ended,

    keepFresh(needed) {
      isNeeded = needed
      timer.restart()
    },

    headers: async signal =>
      isBrowser
        ? ({} as Record<string, string>)
        : { authorization: `Bearer ${await token(signal)}` },

    onToken(run) {
      tokenListeners.add(run)
      return () => tokenListeners.delete(run)
    },

    close() {
      timer.stop()
      for (const run of unsubscribe) run()
    }
  }

  function ended(reason: SignedOutReason) {
    const current = state.get()
    if (current.state === 'signed-out') {
      if (!isMoreExact(reason, current.reason)) return
      state.set({ state: 'signed-out', reason })
      bus.send('session', { reason })
      return
    }
    // The report may be about an earlier session of this device, so only a refresh that is refused signs out.
    if (isMoreExact(reason, endReason)) endReason = reason
    verify()
  }

  function verify() {
    access = null
    isVerified = false
    const earlier: Promise<unknown> = refreshing ?? Promise.resolve()
    earlier.catch(() => {}).then(timer.run)
  }

  function start() {
    if (canResume) timer.run()
    storage.lastUser().then(
      last => {
        const current = state.get()
        if (!last || closed.aborted) return
        if (current.state === 'unknown') state.set({ state: 'signed-in', user: last })
        else if (current.state === 'signed-out') {
          state.set({ state: 'signed-out', reason: current.reason ?? 'expired' })
        }
      },
      error => log({ level: 'warn', message: 'reading the last user failed', error })
    )
  }

  async function token(signal?: AbortSignal): Promise<string> {
    if (signal?.aborted || closed.aborted) throw abortError(closed)
    if (state.get().state === 'signed-out') throw signedOutError()
    if (access && clock.now() < access.staleAt) return access.token
    const before = userOf(state.get())
    const token = await unlessAborted(refresh(), signal)
    if (before && userOf(state.get())?.id !== before.id) throw signedOutError()
    return token
  }

  function refresh(): Promise<string> {
    if (refreshing) return refreshing
    const mine = rotate().finally(() => {
      if (refreshing === mine) refreshing = null
    })
    refreshing = mine
    return mine
  }

  async function rotate(): Promise<string> {
    const { signal: left } = user
    const changing = requests.changing()
    if (changing) {
      await changing
      if (left.aborted) throw signedOutError()
      if (access && clock.now() < access.staleAt) return access.token
    }
    const signal = requests.begin()
    try {
      const { token, userId } = await requests.authenticate('/auth/refresh', signal)
      if (left.aborted) throw signedOutError()
      const isSame = userOf(state.get())?.id === userId
      const me = isVerified && isSame ? undefined : findMe(token, signal)
      // Never return a token of another user than `state` says: this can be the first response, or, where tabs cannot
      // exchange messages, another user may have signed in in another tab.
      if (!isSame) {
        const other = (await me) as Me
        if (left.aborted) throw signedOutError()
        enter(other, token, false)
      } else {
        me?.then(me => left.aborted || enter(me, undefined, false)).catch(() => {})
        acceptToken(token)
      }
      bus.send('token', token)
      return token
    } catch (error) {
      if (left.aborted) throw signedOutError(error)
      if (signal.aborted && !closed.aborted) return rotate()
      if (!isSessionRefused(error)) throw error
      marker.set(false)
      if (state.get().state === 'signed-out') throw signedOutError(error)
      signedOut(endReason ?? (userOf(state.get()) ? 'expired' : null), true)
      throw signedOutError(error)
    }
  }

  async function findMe(token: string, signal: AbortSignal): Promise<Me> {
    return (await http.send<Me>('GET', '/users/me', { token, signal })).body
  }

  function enter(me: Me, token: string | undefined, isOwn: boolean) {
    const before = userOf(state.get())
    if (before?.id !== me.id) forgetUser()
    if (token) acceptToken(token)
    if (before?.id !== me.id || before.name !== me.name) {
      state.set({ state: 'signed-in', user: me })
      stored.enter(me)
    }
    timer.schedule()
    if (isOwn) bus.send('session', { user: me, token })
  }

  function forgetUser() {
    user.abort()
    user = new AbortController()
    refreshing = null
    access = null
    isVerified = true
    endReason = null
  }

  function signedOut(reason: SignedOutReason | null, isOwn: boolean) {
    const id = userOf(state.get())?.id ?? ''
    forgetUser()
    requests.forget()
    timer.stop()
    state.set({ state: 'signed-out', reason })
    if (isOwn) marker.set(false)
    if (!isOwn || reason === null) return
    stored.leave(id, reason)
    bus.send('session', { reason })
  }

  function acceptToken(token: string) {
    access = readAccessToken(token, clock.now())
    isVerified = true
    endReason = null
    timer.restart()
    for (const run of [...tokenListeners]) run(token)
  }

  function refreshDueMs(): number | null {
    if (closed.aborted || state.get().state === 'signed-out') return null
    if (isVerified && !isNeeded) return null
    return isVerified && access ? access.refreshAt - clock.now() : 0
  }
}

function userOf(session: Session): Me | null {
  return session.state === 'signed-in' ? session.user : null
}

function isTokenRefused(error: unknown): boolean {
  return ['BAD_TOKEN', 'TOKEN_EXPIRED', 'NO_TOKEN'].includes((error as ConcordError).code)
}

function isSessionRefused(error: unknown): boolean {
  return ['NO_REFRESH_COOKIE', 'BAD_REFRESH_TOKEN'].includes((error as ConcordError).code)
}
