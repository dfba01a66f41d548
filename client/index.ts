import { createAccount } from './account.ts'
import { createChecklist } from './checklist.ts'
import { ConcordError } from './errors.ts'
import { createEvents } from './events.ts'
import { createHttp } from './http.ts'
import { indexedDbStorage } from './indexed-db.ts'
import { createLink } from './link.ts'
import { memoryStorage } from './memory-storage.ts'
import { createOutbox } from './outbox.ts'
import { createProjects } from './projects.ts'
import { setFields, writable } from './readable.ts'
import { createSessionManager } from './session.ts'
import { createSessionMarker } from './session-marker.ts'
import { browserTabs, createLeadership } from './tabs.ts'
import type { Client, Clock, Connection, Options } from './types.ts'

export { ConcordError } from './errors.ts'
export { indexedDbStorage } from './indexed-db.ts'
export { memoryStorage } from './memory-storage.ts'
export type { Readable } from './readable.ts'
export type * from './storage.ts'
export type { TabChannel, Tabs } from './tabs.ts'
export type * from './types.ts'
export { version } from './version.ts'

const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout(run, ms) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  }
}

// Some browsers do not have this symbol yet.
const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

/**
 * Returns a client of the service at `address`, by default the origin of the page. Throws a `ConcordError` with code
 * INVALID when the address is missing or is not a URL.
 */
export function createClient(address?: string | URL, options: Options = {}): Client {
  const base = baseOf(address ?? globalThis.location?.origin)
  const isBrowser = 'document' in globalThis
  const { clock = systemClock, log = () => {}, signal } = options
  const fetch: typeof globalThis.fetch =
    options.fetch ?? ((input, init) => globalThis.fetch(input, init))
  const WebSocket = (options.WebSocket ?? globalThis.WebSocket) as typeof globalThis.WebSocket
  const hasDatabase = isBrowser || 'indexedDB' in globalThis
  const given =
    options.storage ?? (hasDatabase ? indexedDbStorage(`concord ${base}`) : memoryStorage())
  const tabs = options.tabs ?? (isBrowser && browserTabs(log))
  // Then this tab sends its operations to the leader, as when the browser refuses to store them.
  const isRefused = given.isPrivate && tabs && !options.tabs
  const refuse = () => Promise.reject(new Error('this storage is in the memory of one tab'))
  const storage = isRefused ? { ...given, open: refuse } : given
  const closing = new AbortController()
  const { signal: closed } = closing

  const leadership = createLeadership({ tabs, name: `concord ${base}`, clock })
  const { bus } = leadership
  const http = createHttp({ address: base, fetch, clock, closed })
  // A `fetch` of the caller may have a cookie of an earlier session, as a browser has.
  const marker = isBrowser
    ? createSessionMarker(`concord ${base} session`)
    : { isSet: () => options.fetch !== undefined, set() {} }
  const session = createSessionManager({
    http,
    storage,
    bus,
    clock,
    log,
    closed,
    isBrowser,
    marker
  })
  const shared = { address: base, fetch, WebSocket, session, clock, log, closed }
  const link = createLink({ ...shared, leadership, tabs })
  const onShow = tabs ? tabs.onShow : () => () => {}
  const outbox = createOutbox({ session, storage, link, bus, clock, log, onShow })
  const checklists = new Map<string, ReturnType<typeof createChecklist>>()
  const connection = writable<Connection>({
    state: 'connecting',
    retryAt: null,
    unsent: 0,
    toDecide: 0,
    held: 0,
    isStored: true
  })
  for (const part of [link.state, outbox.unsent, outbox.held, outbox.isStored])
    part.subscribe(showConnection)
  signal?.addEventListener('abort', close)
  if (signal?.aborted) close()

  const client: Omit<Client, typeof Symbol.asyncDispose> = {
    session: session.state,
    connection,
    signUp: session.signUp,
    signIn: session.signIn,
    signOut: session.signOut,
    account: createAccount(session),
    ...createProjects({ ...shared, link, outbox }),
    ...createEvents({ ...shared, link }),

    checklist(anyCaseId) {
      const id = anyCaseId.toLowerCase()
      const known = checklists.get(id)
      if (known) return known
      if (!WebSocket) throw new ConcordError('INVALID', 'pass a WebSocket: this platform has none')
      const onDispose = () => {
        checklists.delete(id)
        showConnection()
      }
      const checklist = createChecklist(id, { ...shared, link, outbox, onDispose })
      checklists.set(id, checklist)
      checklist.toDecide.subscribe(showConnection)
      return checklist
    },

    async close() {
      close()
    }
  }
  return Object.assign(client, { [asyncDispose]: client.close })

  function showConnection() {
    let toDecide = 0
    for (const checklist of checklists.values()) toDecide += checklist.toDecide.get()
    const { state, retryAt } = link.state.get()
    const unsent = outbox.unsent.get()
    const isStored = outbox.isStored.get()
    const held = outbox.held.get()
    setFields(connection, { state, retryAt, unsent, held, toDecide, isStored })
  }

  function close() {
    if (closed.aborted) return
    closing.abort()
    signal?.removeEventListener('abort', close)
    outbox.close()
    link.close()
    session.close()
    leadership.close()
  }
}

/** Returns an address without a slash at its end, and without query and fragment. */
function baseOf(address: string | URL | undefined): string {
  try {
    const { origin, pathname } = new URL(address as string)
    return origin + pathname.replace(/\/+$/, '')
  } catch (cause) {
    throw new ConcordError('INVALID', `this is no address of a service: ${address}`, { cause })
  }
}
