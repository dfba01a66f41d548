import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeList, person } from '../client.ts'
import { type Figures, figuresOf, type Sample } from './figures.ts'
import { createFollower } from './follower.ts'
import { createPusher } from './pusher.ts'

const limits = { everyMs: 100, giveUpMs: 30_000, items: 20 }

/** The latencies of a bystander, by measurement. */
export interface Measured {
  /** an item.set on `/live`, from its frame to its acknowledgement */
  push: Figures
  /** `GET /users/me` */
  read: Figures
  /** an event on `/events`, from its commit */
  delivery: Figures
}

/**
 * An ordinary user with a checklist of their own, who does the same all the time: ten times a second whatever was
 * answered so far, so that a delay counts for all that were begun in it.
 */
export async function createBystander(url: string) {
  const { headers, id: userId } = await person(url)
  const items = Array.from({ length: limits.items }, (_, n) => ({
    itemId: randomUUID(),
    text: `Item ${n}`,
    done: false
  }))
  const { id: listId } = await makeList(url, headers, items)
  const pusher = createPusher(url, headers, listId)
  const follower = createFollower(url, headers, listId)
  let count = 0

  return {
    userId,

    /** Measures for `ms`, and then waits for what is still underway. */
    async measure(ms: number): Promise<Measured> {
      follower.forget()
      const [pushes, reads] = await Promise.all([steadily(ms, push), steadily(ms, read)])
      return {
        push: figuresOf(pushes.map(({ sample }) => sample)),
        read: figuresOf(reads),
        delivery: figuresOf(pushes.flatMap(({ delivery }) => delivery ?? []))
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
    const late = sleep(limits.giveUpMs, undefined, { ref: false })
    const delay = await Promise.race([follower.delivered(rev), late])
    const lost = { ms: limits.giveUpMs, failure: 'not delivered' }
    return { sample, delivery: delay === undefined ? lost : { ms: delay } }
  }

  function read(): Promise<Sample> {
    return timed(async () => {
      const signal = AbortSignal.timeout(limits.giveUpMs)
      const reply = await fetch(`${url}/users/me`, { headers, signal })
      await reply.text()
      if (!reply.ok) return `status ${reply.status}`
    })
  }
}

async function steadily<T>(ms: number, act: () => Promise<T>): Promise<T[]> {
  const begun: Promise<T>[] = []
  const start = performance.now()
  for (let n = 0; n * limits.everyMs < ms; n++) {
    await sleep(Math.max(0, start + n * limits.everyMs - performance.now()))
    begun.push(act())
  }
  return Promise.all(begun)
}

/** Measures a piece of work that returns what is wrong with its outcome. Gives up after a while. */
async function timed(work: () => Promise<string | undefined>): Promise<Sample> {
  const start = performance.now()
  const late = sleep(limits.giveUpMs, 'no answer', { ref: false })
  const failure = await Promise.race([work().catch(() => 'no answer'), late])
  return { ms: performance.now() - start, failure }
}
