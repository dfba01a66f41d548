import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { Headers } from './client.ts'
import { onEnd } from './ends.ts'

/** Streams or sockets to open. */
export interface ConnectionOptions {
  url: string
  count: number
  headers?: Headers
  kind: 'stream' | 'socket'
  /** text that a connection receives once it is open */
  opened: string
  /** the checklist that a socket opens */
  checklistId?: string
  /** changes of one commit, for the latency */
  changes?: number
}

export type Connections = Awaited<ReturnType<typeof openConnections>>

/** The data that the worker thread and this thread share. Times are in milliseconds since 1970. */
export interface SharedCounters {
  /** connections opened, changes received, connections that the server has closed */
  counts: Int32Array<SharedArrayBuffer>
  /** when each commit was sent */
  sentAt: Float64Array<SharedArrayBuffer>
  /** number of changes by their latency in tenths of a millisecond; the last one counts all longer ones */
  latencies: Int32Array<SharedArrayBuffer>
}

export const COUNT = { opened: 0, received: 1, closed: 2 }

const limits = { commits: 10_000, latencies: 50_000, openMs: 60_000, receiveMs: 30_000, pollMs: 2 }

/**
 * Opens connections, a hundred at a time, in a worker thread that only counts what they receive, and waits until all
 * are open.
 */
export async function openConnections(options: ConnectionOptions) {
  const shared: SharedCounters = {
    counts: new Int32Array(new SharedArrayBuffer(3 * 4)),
    sentAt: new Float64Array(new SharedArrayBuffer(limits.commits * 8)),
    latencies: new Int32Array(new SharedArrayBuffer(limits.latencies * 4))
  }
  const worker = new Worker(new URL('connections-worker.ts', import.meta.url), {
    workerData: { ...options, shared }
  })
  onEnd(close)
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => {})
  worker.once('error', failed.reject)
  await Promise.race([once(worker, 'message'), failed.promise])
  const start = performance.now()
  worker.postMessage('open')
  await waitFor(COUNT.opened, options.count, limits.openMs)
  return {
    start,
    openMs: performance.now() - start,
    send,
    received,
    waitUntilReceived,
    latency,
    close
  }

  /** Remembers when commit `n` is sent, and sends it. */
  function send<T>(n: number, commit: () => Promise<T>): Promise<T> {
    shared.sentAt[n] = performance.timeOrigin + performance.now()
    return commit()
  }

  function received(): number {
    return Atomics.load(shared.counts, COUNT.received)
  }

  async function waitUntilReceived(count: number) {
    await waitFor(COUNT.received, count, limits.receiveMs)
    if (received() > count) throw new Error(`received ${received()} changes instead of ${count}`)
  }

  async function waitFor(index: number, count: number, ms: number) {
    const end = performance.now() + ms
    while (Atomics.load(shared.counts, index) < count) {
      const so = [...shared.counts]
      if (so[COUNT.closed]) throw new Error(`${so[COUNT.closed]} connections were closed`)
      if (performance.now() > end) throw new Error(`opened, received, closed: ${so}; not ${count}`)
      await Promise.race([delay(limits.pollMs), failed.promise])
    }
  }

  /** Returns from the sending of the commit to the arrival of the change. */
  function latency() {
    return { 'p50 ms': percentileOf(0.5), 'p99 ms': percentileOf(0.99) }
  }

  function percentileOf(share: number): number {
    let rest = received() * share
    const index = shared.latencies.findIndex(count => {
      rest -= count
      return rest < 0
    })
    return index / 10
  }

  async function close() {
    await worker.terminate()
  }
}
