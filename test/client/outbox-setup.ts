import { randomUUID } from 'node:crypto'
import { ConcordError } from '../../client/errors.ts'
import { memoryStorage } from '../../client/memory-storage.ts'
import { createOutbox, type Outbox } from '../../client/outbox.ts'
import { writable } from '../../client/readable.ts'
import type { Entry, Storage, Store } from '../../client/storage.ts'
import type { Bus } from '../../client/tabs.ts'
import type { Clock, LogLine, Operation, Result, Sent, Session } from '../../client/types.ts'
import { tabBuses } from './session-setup.ts'

export const ann = { id: randomUUID(), name: 'Ann' }
export const bob = { id: randomUUID(), name: 'Bob' }

/** Returns a clock whose timers run only in `advance`. */
export function manualClock() {
  let now = 0
  const timers = new Map<() => void, number>()
  return {
    now: () => now,
    setTimeout(run: () => void, ms: number) {
      const timer = () => run()
      timers.set(timer, now + ms)
      return () => {
        timers.delete(timer)
      }
    },
    /** Runs the timers of the next `ms` milliseconds. */
    async advance(ms: number) {
      now += ms
      for (const [run, at] of [...timers].sort(([, a], [, b]) => a - b)) {
        if (at > now || !timers.delete(run)) continue
        run()
        await settle()
      }
    }
  } satisfies Clock & { advance: unknown }
}

/** Waits until all that was started has ended: everything in these tests takes a few turns of the event loop. */
export async function settle() {
  for (let turn = 0; turn < 30; turn++) await new Promise(setImmediate)
}

/** A service that applies every operation once. A test replaces `decide` or `refuse`. */
export function fakeService() {
  const results = new Map<string, Result>()
  const service = {
    /** the operations of each push, over all checklists */
    pushes: [] as Operation[][],
    /** ids of the applied operations, in order */
    applied: [] as string[],
    running: 0,
    mostRunning: 0,
    /** resolves before each push is decided */
    gate: async () => {},
    refuse: (_ops: readonly Operation[]): ConcordError | undefined => undefined,
    decide: ({ opId }: Operation, _checklistId: string): Result => ({ opId, outcome: 'applied' }),

    async push(checklistId: string, ops: readonly Operation[]): Promise<Result[]> {
      service.pushes.push([...ops])
      service.mostRunning = Math.max(service.mostRunning, ++service.running)
      try {
        await service.gate()
        const refusal = service.refuse(ops)
        if (refusal) throw refusal
        return ops.map(op => {
          const first = results.get(op.opId)
          if (first) return { ...first, duplicate: true }
          const result = service.decide(op, checklistId)
          if (result.outcome === 'rejected') return result
          results.set(op.opId, result)
          service.applied.push(op.opId)
          return result
        })
      } finally {
        service.running--
      }
    }
  }
  return service
}

export type Service = ReturnType<typeof fakeService>

interface TabParts {
  service?: Service
  storage?: Storage
  bus?: Bus
  clock?: Clock
  isLeader?: boolean
  isOnline?: boolean
}

/** Starts the outbox of one tab, with a link to a fake service. */
export function startTab({
  service = fakeService(),
  storage = memoryStorage(),
  bus = tabBuses(1)[0] as Bus,
  clock = manualClock(),
  isLeader = true,
  isOnline = true
}: TabParts = {}) {
  const state = writable<Session>({ state: 'signed-in', user: ann })
  const logs: LogLine[] = []
  const requests: string[] = []
  const shows = new Set<() => void>()
  const link = {
    isLeader: writable(isLeader),
    canPush: writable(isLeader && isOnline),
    push: service.push
  }
  const tab = {
    service,
    storage,
    clock,
    link,
    logs,
    requests,
    session: state,
    respond: async (_method: string, _path: string, _body: unknown): Promise<unknown> => ({}),
    show() {
      for (const run of shows) run()
    },
    /** Becomes the leader and goes online. */
    lead() {
      link.isLeader.set(true)
      link.canPush.set(true)
    },
    outbox: undefined as unknown as Outbox,
    results: [] as [Entry, Result][],
    opsOf: (checklistId: string) => tab.outbox.entries(checklistId).map(({ op }) => op)
  }
  tab.outbox = createOutbox({
    session: {
      state,
      request: async <T>(method: string, path: string, { body }: { body?: unknown } = {}) => {
        requests.push(`${method} ${path}`)
        return (await tab.respond(method, path, body)) as T
      }
    },
    storage,
    link,
    bus,
    clock,
    log: line => logs.push(line),
    onShow(run) {
      shows.add(run)
      return () => shows.delete(run)
    }
  })
  tab.outbox.onResult((entry, result) => tab.results.push([entry, result]))
  return tab
}

export const refusal = (code: string, status: number | null = null, retryAfterMs?: number) =>
  new ConcordError(code, code, { status, retryAfterMs })

export function edit(to: string, from = '', itemId: string = ann.id): Operation {
  return { opId: randomUUID(), kind: 'item.set', itemId, set: { text: { from, to } } }
}

/** Adds an edit, combined with the last entry when that is unsent, as a checklist does. */
export function type(outbox: Outbox, checklistId: string, op: Operation): Sent {
  const entry = outbox.entries(checklistId).at(-1)
  const last = entry?.op
  if (!entry || entry.isSent || last?.kind !== 'item.set' || op.kind !== 'item.set')
    return outbox.add(checklistId, op)
  const from = last.set.text?.from ?? ''
  const to = op.set.text?.to ?? ''
  return outbox.add(checklistId, op, { entry, into: { ...op, set: { text: { from, to } } } })
}

/** Returns a storage whose methods a test can replace, one object for all users. */
export function brokenStorage(storage = memoryStorage()) {
  const broken: { before?: (method: keyof Store) => unknown } = {}
  const calls: string[] = []
  return {
    broken,
    calls,
    storage: {
      ...storage,
      async open(userId: string) {
        const store = await storage.open(userId)
        return new Proxy(store, {
          get: (target, method: keyof Store) =>
            method === 'close' || !(method in target)
              ? target[method]
              : async (...parameters: never[]) => {
                  calls.push(method)
                  await broken.before?.(method)
                  return (target[method] as (...all: never[]) => unknown)(...parameters)
                }
        })
      }
    } satisfies Storage
  }
}
