import { backoffDelay } from './backoff.ts'
import { ConcordError } from './errors.ts'
import { abortError, type Http, isTemporary, withSignal } from './http.ts'
import { onPageEvent } from './page.ts'
import { type Readable, writable } from './readable.ts'
import type { Storage } from './storage.ts'
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
  /** whether `fetch` may have a refresh cookie from before */
  canResume: boolean
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

/** An access token. Its times are counted on this device from its arrival, because the clock of the device may be wrong. */
interface Access {
  token: string
  refreshAt: number
  staleAt: number
}

/** A message to the other tabs: the user has signed in, has a new name, or is signed out. */
type SessionMessage = { user: Me; token?: string } | { reason: SignedOutReason }

const limits = { refreshAheadMs: 60_000, storeMs: 5_000 }

/** Signs users in and out, and keeps the access token, in memory only. All tabs follow over the bus. */
export function createSessionManager(parts: SessionParts): SessionManager {
  const { http, storage, bus, clock, log, closed, isBrowser, canResume } = parts
  const state = writable<Session>(
    canResume ? { state: 'unknown' } : { state: 'signed-out', reason: null }
  )
  const tokenListeners = new Set<(token: string) => void>()
  let access: Access | null = null
  /** the refresh cookie outside browsers */
  let cookie: string | undefined
  /** aborts when the user signs out or another user signs in: results of earlier requests do not count any more */
  let user = new AbortController()
  /** the refresh, sign-in or sign-out in flight: all of them change the cookie, so the newest aborts the one before */
  let inFlight = new AbortController()
  let refreshing: Promise<string> | null = null
  let changing: Promise<unknown> | null = null
  /** whether the service has confirmed the user since the start, or since the session was reported as ended */
  let isVerified = !canResume
  let endReason: SignedOutReason | null = null
  let isNeeded = false
  let failures = 0
  let retryAfterMs = 0
  let stopTimer = () => {}
  let stored: Promise<unknown> = Promise.resolve()
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
    onPageEvent('pageshow', ({ persisted }) => persisted && verify())
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
      change(signal, async signal => {
        const { token } = await authenticate('/auth/signin', signal, { email, password })
        const me = await findMe(token, signal)
        enter(me, token, true)
        await stored
        return me
      }),

    signOut: ({ signal } = {}) =>
      change(signal, async signal => {
        await http.send('POST', '/auth/signout', { cookie, signal })
        signedOut('signed_out', true)
        await stored
      }),

    rename(me) {
      if (userOf(state.get())?.id === me.id) enter(me, undefined, true)
    },

    leave: reason => signedOut(reason, true),

    isUser: userId => (userOf(state.get())?.id ?? userId) === userId,

    ended,

    keepFresh(needed) {
      isNeeded = needed
      failures = 0
      schedule()
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
      stopTimer()
      for (const run of unsubscribe) run()
    }
  }

  function ended(reason: SignedOutReason) {
    const current = state.get()
    if (current.state === 'signed-out') {
      if (precisionOf(reason) <= precisionOf(current.reason)) return
      state.set({ state: 'signed-out', reason })
      bus.send('session', { reason })
      return
    }
    // The report may be about an earlier session of this device, so only a refresh that is refused signs out.
    if (precisionOf(reason) > precisionOf(endReason)) endReason = reason
    verify()
  }

  function verify() {
    access = null
    isVerified = false
    const earlier: Promise<unknown> = refreshing ?? Promise.resolve()
    earlier.catch(() => {}).then(retryNow)
  }

  function start() {
    if (canResume) retryNow()
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
    if (changing) {
      await changing.catch(() => {})
      if (left.aborted) throw signedOutError()
      if (access && clock.now() < access.staleAt) return access.token
    }
    inFlight = new AbortController()
    const { signal } = inFlight
    try {
      const { token, userId } = await authenticate('/auth/refresh', signal)
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
      if (state.get().state === 'signed-out') throw signedOutError(error)
      signedOut(endReason ?? (userOf(state.get()) ? 'expired' : null), true)
      throw signedOutError(error)
    }
  }

  /** Sends a request that returns an access token and sets the refresh cookie. */
  async function authenticate(path: string, signal: AbortSignal, body?: unknown) {
    const sent = await http.send<{ accessToken: string }>('POST', path, { body, cookie, signal })
    if (signal.aborted) throw abortError(closed)
    const [pair] = sent.setCookie.find(one => one.startsWith('refresh='))?.split(';') ?? []
    if (pair) cookie = pair
    const token = sent.body.accessToken
    return { token, userId: claimsOf(token).sub }
  }

  async function findMe(token: string, signal: AbortSignal): Promise<Me> {
    return (await http.send<Me>('GET', '/users/me', { token, signal })).body
  }

  /** Runs a sign-in or sign-out, and aborts the request before that would change the cookie, too. */
  function change<T>(signal: AbortSignal | undefined, run: (signal: AbortSignal) => Promise<T>) {
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
  }

  function enter(me: Me, token: string | undefined, isOwn: boolean) {
    const before = userOf(state.get())
    if (before?.id !== me.id) forgetUser()
    if (token) acceptToken(token)
    if (before?.id !== me.id || before.name !== me.name) {
      state.set({ state: 'signed-in', user: me })
      store(() => storage.setLastUser(me))
      store(() => storage.deleteOthers(me.id))
    }
    schedule()
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
    cookie = undefined
    stopTimer()
    state.set({ state: 'signed-out', reason })
    if (!isOwn || reason === null) return
    // After an expiry, the next start opens the stored operations of the same user, and requires a sign-in.
    if (reason !== 'expired') store(() => storage.setLastUser(null))
    bus.send('session', { reason })
    if (!isForGood(reason)) return
    if (id) store(() => storage.delete(id))
    store(() => storage.deleteOthers(id))
  }

  /** Writes to the storage in the order of the calls. A storage that fails does not end a session. */
  function store(write: () => Promise<void>) {
    stored = stored
      .then(
        () =>
          new Promise<void>((resolve, reject) => {
            const fail = () => reject(new Error('the storage did not respond'))
            const stop = clock.setTimeout(fail, limits.storeMs)
            write().then(resolve, reject).finally(stop)
          })
      )
      .catch(error => log({ level: 'warn', message: 'storing the session failed', error }))
  }

  function acceptToken(token: string) {
    const now = clock.now()
    const lifeMs = lifeOf(token)
    const aheadMs = Math.min(limits.refreshAheadMs, lifeMs / 3)
    access = {
      token,
      refreshAt: now + lifeMs - aheadMs * (1 + Math.random() / 4),
      staleAt: now + lifeMs - aheadMs / 6
    }
    isVerified = true
    endReason = null
    failures = 0
    schedule()
    for (const run of [...tokenListeners]) run(token)
  }

  function schedule() {
    stopTimer()
    if (closed.aborted || state.get().state === 'signed-out') return
    if (isVerified && !isNeeded) return
    const planned = isVerified && access ? access.refreshAt - clock.now() : 0
    const waiting = failures > 0 ? Math.max(retryAfterMs, backoffDelay(failures)) : planned
    stopTimer = clock.setTimeout(retryNow, Math.max(0, waiting))
  }

  function retryNow() {
    stopTimer()
    refresh().catch((error: ConcordError) => {
      if (error.code === 'SIGNED_OUT' || closed.aborted) return
      failures++
      retryAfterMs = error.retryAfterMs ?? 0
      const level = isTemporary(error) ? 'debug' : 'warn'
      log({ level, message: 'refreshing the access token failed', error })
      schedule()
    })
  }
}

function userOf(session: Session): Me | null {
  return session.state === 'signed-in' ? session.user : null
}

/** Several connections report the end of a session, but only the stream receives the exact reason. */
function precisionOf(reason: SignedOutReason | null): number {
  if (reason === null) return 0
  return reason === 'expired' ? 1 : reason === 'revoked' ? 2 : 3
}

/** Returns whether what is stored on this device must not outlive the session. */
function isForGood(reason: SignedOutReason): boolean {
  return reason === 'signed_out' || reason === 'account_deleted'
}

function isTokenRefused(error: unknown): boolean {
  return ['BAD_TOKEN', 'TOKEN_EXPIRED', 'NO_TOKEN'].includes((error as ConcordError).code)
}

function isSessionRefused(error: unknown): boolean {
  return ['NO_REFRESH_COOKIE', 'BAD_REFRESH_TOKEN'].includes((error as ConcordError).code)
}

export function signedOutError(cause?: unknown): ConcordError {
  return new ConcordError('SIGNED_OUT', 'the user is signed out', { cause })
}

/** Returns the claims of an access token. They are not verified: the service verifies them. */
function claimsOf(token: string): { sub: string; iat: number; exp: number } {
  try {
    const [, claims = ''] = token.split('.')
    return JSON.parse(atob(claims.replaceAll('-', '+').replaceAll('_', '/')))
  } catch (cause) {
    throw new ConcordError('NOT_CONCORD', 'the response contains no access token', { cause })
  }
}

/** Returns the life of an access token in milliseconds. `iat` is rounded down to seconds, so up to one may be over. */
function lifeOf(token: string): number {
  const { iat, exp } = claimsOf(token)
  return Math.max(exp - iat - 1, 0.5) * 1000
}

/** Resolves or rejects as `promise`, or rejects with ABORTED as soon as `signal` aborts. */
function unlessAborted<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const abort = () => reject(abortError())
    signal.addEventListener('abort', abort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
