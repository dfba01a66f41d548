import type { Test } from 'tap'
import { createHttp } from '../../client/http.ts'
import { createSessionManager } from '../../client/session.ts'
import type { SessionMarker } from '../../client/session-marker.ts'
import type { Storage } from '../../client/storage.ts'
import type { Bus } from '../../client/tabs.ts'
import type { Clock, LogLine, Me } from '../../client/types.ts'

export const realClock: Clock = {
  now: () => performance.now(),
  setTimeout(run, ms) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  }
}

/** Returns a clock that `skip` moves forward, with real timers. */
export function movableClock() {
  let skippedMs = 0
  return {
    ...realClock,
    now: () => performance.now() + skippedMs,
    skip(ms: number) {
      skippedMs += ms
    }
  }
}

/** Returns a `fetch` with cookies as in a browser: scripts do not see them, and all who use it share them. */
export function browserFetch(send: typeof fetch = fetch): typeof fetch {
  let cookie: string | undefined
  return async (input, init) => {
    const headers = new Headers(init?.headers)
    if (cookie) headers.set('cookie', cookie)
    const { body, status, headers: received } = await send(input, { ...init, headers })
    for (const one of received.getSetCookie()) {
      const [pair = ''] = one.split(';')
      cookie = pair.endsWith('=') ? undefined : pair
    }
    const visible = new Headers(received)
    visible.delete('set-cookie')
    return new Response(body, { status, headers: visible })
  }
}

/** Returns a `fetch` that counts requests by path, and that `hold` stops before it delivers the next response of a path. */
export function countingFetch(send: typeof fetch = fetch) {
  const counts: Record<string, number> = {}
  const holds = new Map<string, { arrived: () => void; released: Promise<void> }>()

  async function counted(input: Parameters<typeof fetch>[0], init?: RequestInit) {
    const { pathname } = new URL(String(input))
    counts[pathname] = (counts[pathname] ?? 0) + 1
    const hold = holds.get(pathname)
    holds.delete(pathname)
    const response = await send(input, init)
    hold?.arrived()
    await hold?.released
    init?.signal?.throwIfAborted()
    return response
  }

  return {
    fetch: counted as typeof fetch,
    counts,

    /** Holds the next response of a path. `arrived` resolves when the service has sent it. */
    hold(path: string) {
      const arrived = Promise.withResolvers<void>()
      const released = Promise.withResolvers<void>()
      holds.set(path, { arrived: arrived.resolve, released: released.promise })
      return { arrived: arrived.promise, release: released.resolve }
    }
  }
}

/** Returns the buses of `count` tabs. A message is delivered later, and as a copy, as by a BroadcastChannel. */
export function tabBuses(count: number): Bus[] {
  const handlers = Array.from({ length: count }, () => new Map<string, Set<unknown>>())
  return handlers.map((own, tab) => ({
    tabId: String(tab),
    send(topic, body) {
      const copy = structuredClone(body)
      for (const other of handlers) {
        if (other === own) continue
        setImmediate(() => {
          for (const run of other.get(topic) ?? []) (run as (body: unknown) => void)(copy)
        })
      }
    },
    on(topic, run) {
      const set = own.get(topic) ?? new Set()
      own.set(topic, set.add(run))
      return () => set.delete(run)
    }
  }))
}

/** Returns a storage of users without their operations, and the calls that it received. */
export function userStorage(lastUser: Me | null = null) {
  const calls: unknown[][] = []
  const stores = new Set<string>(lastUser ? [lastUser.id] : [])
  const storage: Storage = {
    lastUser: async () => lastUser,
    async setLastUser(user) {
      calls.push(['setLastUser', user])
      lastUser = user
      if (user) stores.add(user.id)
    },
    async open() {
      throw new Error('not needed')
    },
    async delete(id) {
      calls.push(['delete', id])
      stores.delete(id)
    },
    async deleteOthers(id) {
      calls.push(['deleteOthers', id])
      for (const other of stores) if (other !== id) stores.delete(other)
    }
  }
  return { storage, calls, stores }
}

export type Manager = ReturnType<typeof startManager>

/** Starts the session manager of one tab, and closes it with the test. */
export function startManager(
  t: Test,
  address: string,
  {
    fetch = globalThis.fetch,
    storage = userStorage().storage,
    bus = tabBuses(1)[0] as Bus,
    isBrowser = false,
    marker = { isSet: () => isBrowser, set() {} },
    clock = realClock
  }: {
    fetch?: typeof globalThis.fetch
    storage?: Storage
    bus?: Bus
    isBrowser?: boolean
    marker?: SessionMarker
    clock?: Clock
  } = {}
) {
  const controller = new AbortController()
  const { signal: closed } = controller
  const logs: LogLine[] = []
  const log = (line: LogLine) => logs.push(line)
  const http = createHttp({ address: address.replace(/\/$/, ''), fetch, clock, closed })
  const parts = { http, storage, bus, clock, log, closed, isBrowser, marker }
  const manager = createSessionManager(parts)
  t.teardown(close)

  function close() {
    controller.abort()
    manager.close()
  }

  return { ...manager, http, logs, close }
}
