import 'fake-indexeddb/auto'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { type ChecklistParts, createChecklist } from '../client/checklist.ts'
import { fromSnapshot } from '../client/confirmed.ts'
import { indexedDbStorage } from '../client/indexed-db.ts'
import type { ListHandler } from '../client/link.ts'
import { memoryStorage } from '../client/memory-storage.ts'
import { createOutbox, type OutboxParts } from '../client/outbox.ts'
import { writable } from '../client/readable.ts'
import { replay } from '../client/replay.ts'
import type { Entry, Storage } from '../client/storage.ts'
import type { ChecklistData, Clock, Session } from '../client/types.ts'
import { bundleClient } from '../lib/client-bundle.ts'
import { percentile, round, sum } from './support/statistics.ts'

/*
 * Measures the client library: replaying the queue on a new state of the service, one keystroke, opening a list from
 * the storage, memory, and size. There is no service: the link delivers a snapshot and takes nothing. Times are in
 * milliseconds: elapsed ones, and the mean CPU time of the thread, because other programs use the machine as well.
 *
 * node bench/client.ts
 */
const many = { items: 1000, queued: 200, merged: 120, lists: 10, keystrokes: 1000, openings: 30 }
const user = { id: crypto.randomUUID(), name: 'Ann' }

async function main() {
  const rows = [
    ...[0, many.merged].flatMap(replayRows),
    await keystrokeRow(0),
    await keystrokeRow(many.queued),
    await openingRow('memory', memoryStorage),
    await openingRow('fake-indexeddb', indexedDbStorage)
  ]
  console.table(rows)
  const [heap = 0] = runAlone('memory') as number[]
  console.log(`${many.lists} open lists of ${many.items} items: ${round(heap / 2 ** 20, 1)} MB`)
  console.table(await sizeRows())
}

// Replay

/** Replays in new processes, because the first replay of a page runs code that is not compiled yet. */
function replayRows(merged: number): Row[] {
  const runs = Array.from({ length: 5 }, () => runAlone('replay', `${merged}`)) as Time[][][]
  const name = `replay of ${many.queued} operations, ${merged} texts merged`
  return ['first in a page', 'operations from the storage', 'known operations'].map((kind, n) =>
    rowOf(
      `${name}: ${kind}`,
      runs.flatMap(run => run[n] ?? []),
      n === 2 ? 5 : undefined
    )
  )
}

/** Returns the times of the first replay, of replays with new objects, and of replays with known ones. */
function measureReplay(merged: number): Time[][] {
  const confirmed = fromSnapshot(checklistData())
  const entries = queueOf(confirmed.order, merged)
  const run = (queue: Entry[]) => timed(() => replay({ ...confirmed }, queue, user.id))
  const first = run(entries)
  const fromStorage = Array.from({ length: 30 }, () => run(structuredClone(entries)))
  const known = Array.from({ length: 30 }, () => run(entries))
  return [[first], fromStorage.slice(10), known.slice(10)]
}

/** Edits of the first items. `merged` of them start from an older text. The others also tick, date, move and delete. */
function queueOf(items: readonly { id: string; text: string }[], merged: number): Entry[] {
  return items.slice(0, many.queued).map(({ id: itemId, text }, n) => {
    const opId = crypto.randomUUID()
    const from = n < merged ? text.replace('white', 'green') : text
    const set = { text: { from, to: from.replace('Friday', 'Monday noon') } }
    const seen = { text, done: false, dueOn: null }
    const kinds = [
      { kind: 'item.set', itemId, set },
      { kind: 'item.set', itemId, set: { done: { from: false, to: true } } },
      { kind: 'item.set', itemId, set: { dueOn: { from: null, to: '2026-12-24' } } },
      { kind: 'item.move', itemId, after: items[n + 500]?.id ?? null },
      { kind: 'item.delete', itemId, seen }
    ] as const
    const kind = kinds[n < merged ? 0 : n % kinds.length] ?? kinds[0]
    return { seq: n, checklistId: '', op: { opId, ...kind }, version: 0, isSent: false }
  })
}

// One keystroke

/** Measures `set`, which returns after the subscribers have received the new view. */
async function keystrokeRow(queued: number): Promise<Row> {
  const { checklist, deliver } = openChecklist(checklistData(), memoryStorage())
  let shown = checklist.get()
  checklist.subscribe(view => {
    shown = view
  })
  await deliver()
  for (const line of shown?.items.slice(1, queued + 1) ?? [])
    checklist.set(line.id, { done: true }).settled.catch(() => {})
  const times: Time[] = []
  const { id = '', text = '' } = shown?.items[0] ?? {}
  for (let n = 1; n <= many.keystrokes; n++) {
    const to = `${text} ${'and more '.repeat(20).slice(0, n % 150)}.`
    times.push(timed(() => checklist.set(id, { text: to })))
    if (shown?.items[0]?.text !== to) throw new Error('the view does not show the keystroke')
    await turn()
  }
  if (checklist.unsent().length > queued + 1) throw new Error('keystrokes are not combined')
  checklist[Symbol.dispose]()
  return rowOf(
    `keystroke in ${many.items} items, ${queued} other operations queued`,
    times.slice(100),
    1
  )
}

// Opening

async function openingRow(name: string, storageOf: () => Storage): Promise<Row> {
  const storage = storageOf()
  const data = checklistData()
  await (await storage.open(user.id)).saveChecklist(data)
  const times: Time[] = []
  for (let n = 0; n < many.openings; n++) {
    const { checklist } = openChecklist(data, storage)
    const stop = startTimer()
    await new Promise<void>(resolve => {
      checklist.subscribe(view => view && resolve())
    })
    times.push(stop())
    checklist[Symbol.dispose]()
    await turn()
  }
  return rowOf(`opening ${many.items} items from the storage: ${name}`, times, 50)
}

// Memory

async function measureMemory(): Promise<number[]> {
  const storage = memoryStorage()
  // The second list makes everything that is made once.
  const warm = openChecklist(checklistData(), storage)
  warm.checklist.subscribe(() => {})
  await warm.deliver()
  const before = await heapUsed()
  const open = []
  for (let n = 0; n < many.lists; n++) {
    const opened = openChecklist(checklistData(), storage)
    opened.checklist.subscribe(() => {})
    await opened.deliver()
    open.push(opened)
  }
  const after = await heapUsed()
  if (open.some(({ checklist }) => checklist.get()?.items.length !== many.items))
    throw new Error('a list is not open')
  return [after - before]
}

async function heapUsed(): Promise<number> {
  for (let n = 0; n < 5; n++) {
    await turn()
    globalThis.gc?.()
  }
  return process.memoryUsage().heapUsed
}

// Size

async function sizeRows() {
  const code = await bundleClient()
  const { metafile } = await build({
    entryPoints: [join(import.meta.dirname, '../client/index.ts')],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    metafile: true,
    write: false
  })
  const parts = new Map<string, number>()
  for (const { inputs } of Object.values(metafile.outputs))
    for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
      const part = partOf(file)
      parts.set(part, (parts.get(part) ?? 0) + bytesInOutput)
    }
  const gzip = gzipSync(code, { level: 9 }).length
  const whole = { part: 'the whole bundle', bytes: code.length, gzip }
  // Parts are compressed together, so a part of its own has no size.
  const share = gzip / [...parts.values()].reduce((all, bytes) => all + bytes, 0)
  return [
    whole,
    ...[...parts]
      .sort(([, a], [, b]) => b - a)
      .map(([part, bytes]) => ({ part, bytes, gzip: Math.round(bytes * share) }))
  ]
}

function partOf(file: string): string {
  const [, name = ''] = /node_modules\/([^/]+)/.exec(file) ?? []
  if (name) return `package ${name}`
  if (!file.includes('client/')) return 'merging and checks (lib, schemas)'
  if (
    /(replay|place|confirmed|combine|undo|checklist|history|presence|render|notices|absence|make-operation|mirror)\.ts$/.test(
      file
    )
  )
    return 'checklists: view, prediction, undo'
  if (
    /(outbox|storage|indexed-db|database|entries|writer|sender|queue|user-store|operation-size)\.ts$/.test(
      file
    )
  )
    return 'queue and storage'
  if (
    /(link|hub(-list)?|tabs|tab-\w+|pushes|shown|stream|socket|reconnect|backoff|wake|page)\.ts$/.test(
      file
    )
  )
    return 'connection and tabs'
  return 'sessions, projects, requests'
}

// Parts of a client, without a service

/** Opens a checklist whose service delivers `data` once `deliver` is called. */
function openChecklist(data: ChecklistData, storage: Storage) {
  const state = writable<Session>({ state: 'signed-in', user })
  const request = async () => ({}) as never
  const handlers: ListHandler[] = []
  const link: ChecklistParts['link'] & OutboxParts['link'] = {
    state: writable({ state: 'live' as const, retryAt: null }),
    isLeader: writable(true),
    canPush: writable(false),
    push: () => new Promise(() => {}),
    onEvent: () => () => {},
    open(_id, handler) {
      handlers.push(handler)
      return { close() {}, show() {}, resync() {} }
    }
  }
  const closed = new AbortController().signal
  const outbox = createOutbox({
    session: { state, request },
    storage,
    link,
    bus: { tabId: 'one', send() {}, on: () => () => {} },
    clock,
    log: line => console.error(line),
    onShow: () => () => {}
  })
  const session = { request }
  const onDispose = () => outbox.close()
  const parts = { link, outbox, session, clock, closed, onDispose }
  const checklist = createChecklist(data.id, parts)
  return {
    checklist,
    async deliver() {
      while (handlers.length === 0) await turn()
      handlers[0]?.snapshot(data)
      handlers[0]?.caughtUp(true)
      while (!checklist.get()) await turn()
    }
  }
}

const clock: Clock = {
  now: () => performance.now(),
  setTimeout(run, ms) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  }
}

function checklistData(): ChecklistData {
  const items = Array.from({ length: many.items }, (_, n) => ({
    id: crypto.randomUUID(),
    text: `Order ${n} white chairs for the summer fair by Friday`,
    done: false,
    dueOn: null,
    position: 1024 * (n + 1)
  }))
  const [id, projectId] = [crypto.randomUUID(), crypto.randomUUID()]
  const rest = { title: 'To buy', rev: 1, epoch: 'e', role: 'editor' } as const
  return { id, projectId, ...rest, items, conflicts: [] }
}

// Helpers

/** Runs a part of this file in a new process, and returns the numbers that it prints. */
function runAlone(...parts: string[]): unknown {
  const flags = ['--expose-gc', import.meta.filename, ...parts]
  const { stdout, stderr, status } = spawnSync(process.execPath, flags, { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout)
}

interface Time {
  elapsed: number
  cpu: number
}

type Row = ReturnType<typeof rowOf>

function rowOf(what: string, times: Time[], aim?: number) {
  const elapsed = times.map(time => time.elapsed)
  return {
    what,
    median: round(percentile(elapsed, 0.5), 2),
    p99: round(percentile(elapsed, 0.99), 2),
    cpu: round(sum(times.map(({ cpu }) => cpu)) / times.length, 2),
    aim: aim ?? ''
  }
}

function timed(run: () => unknown): Time {
  const stop = startTimer()
  run()
  return stop()
}

function startTimer(): () => Time {
  const start = performance.now()
  const startCpu = process.threadCpuUsage()
  return () => {
    const { user, system } = process.threadCpuUsage(startCpu)
    return { elapsed: performance.now() - start, cpu: (user + system) / 1000 }
  }
}

const turn = () => new Promise(setImmediate)

const [part, argument] = process.argv.slice(2)

if (part === 'replay') console.log(JSON.stringify(measureReplay(Number(argument))))
else if (part === 'memory') console.log(JSON.stringify(await measureMemory()))
else await main()
process.exit()
