import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { addChecklist, registerUser } from '../support/client.ts'
import { type Figures, type Sample, summarize } from './figures.ts'
import { createFollower } from './follower.ts'
import { createPusher } from './pusher.ts'

const limits = { intervalMs: 100, timeoutMs: 30_000, items: 20 }

/** The latencies that the probe measured. */
export interface Latencies {
  /** from an item.set on `/live` to its acknowledgement */
  push: Figures
  /** `GET /users/me` */
  read: Figures
  /** from the commit of an event to its arrival on `/events` */
  delivery: Figures
}

/**
 * Creates the probe: a user with a checklist of its own, which pushes and reads ten times a second. It sends each
 * request whether or not earlier ones have a response, so that a delay affects all requests that are sent during it.
 */
export async function createProbe(url: string) {
  const { headers, id: userId } = await registerUser(url)
  const items = Array.from({ length: limits.items }, (_, n) => ({
    itemId: randomUUID(),
    text: `Item ${n}`,
    done: false
  }))
  const { id: listId } = await addChecklist(url, headers, items)
  const pusher = createPusher(url, headers, listId)
  const follower = createFollower(url, headers, listId)
  let count = 0

  return {
    userId,

    /** Measures for `ms` milliseconds, then waits for the requests that are pending. */
    async measure(ms: number): Promise<Latencies> {
      follower.reset()
      const [pushes, reads] = await Promise.all([atInterval(ms, push), atInterval(ms, read)])
      return {
        push: summarize(pushes.map(({ sample }) => sample)),
        read: summarize(reads),
        delivery: summarize(pushes.flatMap(({ delivery }) => delivery ?? []))
      }
    },

    close() {
      pusher.close()
      follower.close()
    }
  }

  async function push(): Promise<{ sample: Sample; delivery?: Sample }> {
    const item = items[count++ % items.length] as (typeof items)[0]
    const set = { done: { from: item.done, to: !item.done } }
    item.done = !item.done
    let rev: number | undefined
    const sample = await timed(async () => {
      const result = await pusher.push({ kind: 'item.set', itemId: item.itemId, set })
      if (result.outcome === 'rejected') return `rejected: ${result.code}`
      rev = result.rev
    })
    if (rev === undefined) return { sample }
    const timeout = delay(limits.timeoutMs, undefined, { ref: false })
    const ms = await Promise.race([follower.delivered(rev), timeout])
    const lost = { ms: limits.timeoutMs, failure: 'not delivered' }
    return { sample, delivery: ms === undefined ? lost : { ms } }
  }

  function read(): Promise<Sample> {
    return timed(async () => {
      const signal = AbortSignal.timeout(limits.timeoutMs)
      const response = await fetch(`${url}/users/me`, { headers, signal })
      await response.text()
      if (!response.ok) return `status ${response.status}`
    })
  }
}

/** Calls `act` every 100 ms for `ms` milliseconds, whether or not earlier calls have resolved. */
async function atInterval<T>(ms: number, act: () => Promise<T>): Promise<T[]> {
  const started: Promise<T>[] = []
  const start = performance.now()
  for (let n = 0; n * limits.intervalMs < ms; n++) {
    await delay(Math.max(0, start + n * limits.intervalMs - performance.now()))
    started.push(act())
  }
  return Promise.all(started)
}

/** Measures the duration of `work`, which resolves with the reason when it fails. After 30 s it counts as failed. */
async function timed(work: () => Promise<string | undefined>): Promise<Sample> {
  const start = performance.now()
  const timeout = delay(limits.timeoutMs, 'no response', { ref: false })
  const failure = await Promise.race([work().catch(() => 'no response'), timeout])
  return { ms: performance.now() - start, failure }
}
