import { backoffDelay } from './backoff.ts'
import type { ConcordError } from './errors.ts'
import { abortError, isTemporary, withSignal } from './http.ts'
import type { Link } from './link.ts'
import { type Readable, writable } from './readable.ts'
import type { SessionManager } from './session.ts'
import { signedOutError } from './signed-out.ts'
import type { Call, Clock, FeedEvent, Live } from './types.ts'

export interface LiveParts {
  session: Pick<SessionManager, 'state' | 'request'>
  link: Pick<Link, 'onEvent'>
  clock: Clock
  /** aborts when the client is closed */
  closed: AbortSignal
}

/** Rows of the service that a `Live` value contains. */
export interface LiveSource<Row> {
  /** path of the pages */
  path: string
  /** name of the array in a page */
  field: string
  /** name of the field that identifies a row */
  key: keyof Row
  /**
   * Returns what an event changes. It may be older than the rows: the events after it follow, so the newest values are
   * right in the end.
   */
  patch(rows: readonly Row[], event: FeedEvent, userId: string): Patch<Row> | undefined
  /** a copy on this device, which is shown while the service cannot be reached */
  copy?: { load(): Promise<readonly Row[] | undefined>; save(rows: readonly Row[]): Promise<void> }
}

/** A change of rows. A row to change that is unknown is a reason to load the rows again, as 'reload'. */
export type Patch<Row> =
  | { add: Row }
  | { change: string; to: Partial<Row> }
  | { remove: string }
  | 'reload'

export interface LiveRows<Row> extends Live<readonly Row[]> {
  /** Changes the rows after a response of the service, before its event arrives. */
  update(patch: Patch<Row>): void
}

/** Returns changed rows, or null when they must be loaded again. */
type Change<Row> = (rows: readonly Row[]) => readonly Row[] | null

const limits = {
  pages: 100,
  /** rows of a copy, and the time after a change before it is stored */
  copiedRows: 1_000,
  saveMs: 1_000,
  /** Many clients receive the same event: they load at different times. */
  reloadMs: 300
}

/** Returns rows that are loaded while they have a subscriber and a user is signed in, and that follow the events. */
export function createLiveRows<Row>(
  { session, link, clock, closed }: LiveParts,
  { path, field, key, patch, copy }: LiveSource<Row>
): LiveRows<Row> {
  const error = writable<ConcordError | null>(null)
  const rows = writable<readonly Row[] | undefined>(undefined, followUser)
  let change = (_run: Change<Row>) => {}

  return {
    ...rows,
    error,
    ready: call => untilReady(rows, error, closed, call),
    update(own) {
      change(current => patched(current, key, own))
    }
  }

  function followUser(): () => void {
    let userId: string | undefined
    let stop = () => {}
    const unsubscribe = session.state.subscribe(current => {
      const next = current.state === 'signed-in' ? current.user.id : undefined
      if (next && next === userId) return
      stop()
      userId = next
      rows.set(undefined)
      error.set(current.state === 'signed-out' ? signedOutError() : null)
      stop = next ? follow(next) : () => {}
    })
    const end = () => {
      unsubscribe()
      stop()
      stop = () => {}
    }
    closed.addEventListener('abort', end)
    return () => {
      closed.removeEventListener('abort', end)
      end()
      rows.set(undefined)
      error.set(null)
    }
  }

  /** Loads the rows and applies events, until the returned function is called. */
  function follow(userId: string): () => void {
    const stopped = new AbortController()
    const { signal } = stopped
    let isLoading = false
    let isOutdated = false
    let hasStream = false
    let failures = 0
    let stopTimer = () => {}
    let stopSave: (() => void) | undefined
    /** changes since the load in flight began: the rows that it returns may be older or newer */
    let changes: Change<Row>[] = []
    const unsubscribe = link.onEvent(receive)
    change = applyChange
    load()

    return () => {
      change = () => {}
      stopped.abort()
      stopTimer()
      stopSave?.()
      unsubscribe()
    }

    function receive(event: FeedEvent) {
      if (event.type === 'ready') {
        // Events between the first load and the start of the stream are missing. A later stream resumes after them.
        if (!hasStream || error.get()) reload(0)
        hasStream = true
      } else if (event.type === 'reset') {
        reload()
      } else {
        applyChange(current => patched(current, key, patch(current, event, userId)))
      }
    }

    function applyChange(run: Change<Row>) {
      if (isLoading) changes.push(run)
      const next = run(rows.get() ?? [])
      if (next && rows.get()) {
        rows.set(next)
        saveCopy(limits.saveMs)
      } else if (!next && !isLoading) reload()
    }

    function reload(ms = Math.random() * limits.reloadMs) {
      isOutdated = true
      if (isLoading) return
      stopTimer()
      stopTimer = clock.setTimeout(load, ms)
    }

    async function load() {
      stopTimer()
      isLoading = true
      isOutdated = false
      changes = []
      try {
        let loaded: readonly Row[] = await loadPages(signal)
        for (const run of changes) {
          const next = run(loaded)
          if (next) loaded = next
          else isOutdated = true
        }
        if (signal.aborted) return
        failures = 0
        error.set(null)
        rows.set(loaded)
        saveCopy(0)
      } catch (thrown) {
        if (signal.aborted) return
        const failure = thrown as ConcordError
        // Without network, another server may respond, for example the sign-in page of a hotel.
        const mayRetry = isTemporary(failure) || failure.code === 'NOT_CONCORD'
        if (!mayRetry) rows.set(undefined)
        error.set(failure)
        if (mayRetry) {
          showCopy()
          const ms = Math.max(failure.retryAfterMs ?? 0, backoffDelay(failures++))
          stopTimer = clock.setTimeout(load, ms)
          isOutdated = false
        }
      } finally {
        isLoading = false
      }
      if (isOutdated) reload()
    }

    async function showCopy() {
      if (!copy || rows.get()) return
      const copied = await copy.load()
      if (copied && !rows.get() && error.get() && !signal.aborted) rows.set(copied)
    }

    function saveCopy(ms: number) {
      if (!copy) return
      stopSave ??= clock.setTimeout(() => {
        stopSave = undefined
        const current = rows.get()
        if (current) void copy.save(current.slice(0, limits.copiedRows))
      }, ms)
    }
  }

  async function loadPages(signal: AbortSignal): Promise<Row[]> {
    const loaded: Row[] = []
    let query = ''
    for (let page = 0; page < limits.pages; page++) {
      type Page = { next?: string } & Record<string, Row[]>
      const { next, [field]: more } = await session.request<Page>('GET', path + query, { signal })
      loaded.push(...(more ?? []))
      if (!next) break
      query = `?after=${encodeURIComponent(next)}`
    }
    return loaded
  }
}

function patched<Row>(
  rows: readonly Row[],
  key: keyof Row,
  patch?: Patch<Row>
): readonly Row[] | null {
  if (!patch) return rows
  if (patch === 'reload') return null
  const has = (id: unknown) => rows.some(row => row[key] === id)
  if ('add' in patch) return has(patch.add[key]) ? rows : [...rows, patch.add]
  if ('remove' in patch)
    return has(patch.remove) ? rows.filter(row => row[key] !== patch.remove) : rows
  if (!has(patch.change)) return null
  return rows.map(row => (row[key] === patch.change ? { ...row, ...patch.to } : row))
}

/** Resolves with the value as soon as there is one. Subscribes to it until then. */
export function untilReady<T>(
  value: Readable<T | undefined>,
  error: Readable<ConcordError | null>,
  closed: AbortSignal,
  { signal }: Call = {}
): Promise<T> {
  const stops: (() => void)[] = []
  const ready = (aborted: AbortSignal) =>
    new Promise<T>((resolve, reject) => {
      const abort = () => reject(abortError(closed))
      if (aborted.aborted) return abort()
      aborted.addEventListener('abort', abort)
      stops.push(
        value.subscribe(loaded => loaded !== undefined && resolve(loaded)),
        error.subscribe(thrown => thrown && !isTemporary(thrown) && reject(thrown))
      )
    })
  return withSignal([closed, signal], ready).finally(() => {
    for (const stop of stops) stop()
  })
}
