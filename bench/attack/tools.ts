import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import postgres from 'postgres'
import { type BenchUser, type Headers, registerUser } from '../support/client.ts'
import { createCounter } from './counter.ts'
import { createHttpClient } from './http.ts'
import { createSocket } from './socket.ts'

export type Tools = ReturnType<typeof createTools>
export type Op = Record<string, unknown>

/** An item that an attack has added. */
export interface AttackItem {
  itemId: string
  text: string
}

// `pending` limits the CPU time of the attacker, so that it does not use up both cores.
const limits = { pending: 300, itemsPerOp: 200, opsPerPush: 100 }

/** Creates the functions that attacks share. */
export function createTools({ url, databaseUrl }: { url: string; databaseUrl: string }) {
  const counter = createCounter()
  const http = createHttpClient(url, counter)

  return {
    url,
    counter,
    ...http,
    atRate,
    createList,
    push,
    registerUser: () => registerUser(url),

    createSocket: (headers: Headers, firstMessages: object[] = []) =>
      createSocket(url, counter, headers, firstMessages),

    /** Opens a connection to the database, as psql does. */
    sql: () => postgres(databaseUrl, { max: 1, onnotice: () => {} })
  }

  /** Calls `act` `perSecond` times a second until the process exits; skips calls while 300 are pending. */
  async function atRate(perSecond: number, act: (n: number) => unknown) {
    const start = performance.now()
    let pending = 0
    for (let n = 0; ; n++) {
      await delay(Math.max(0, start + (n * 1000) / perSecond - performance.now()))
      if (pending === limits.pending) continue
      pending++
      Promise.resolve(act(n))
        .catch(error => counter.addResponse(error.code ?? error.message))
        .finally(() => pending--)
    }
  }

  /** Creates a project with an owner and `editors`, and in it a checklist with items. */
  async function createList({ headers }: BenchUser, editors: BenchUser[], items: AttackItem[]) {
    const post = (path: string, body: object) =>
      http.requestUntilAccepted('POST', path, { headers, body })
    const { id: projectId } = await post('/projects', { name: 'Fair' })
    for (const { email } of editors) {
      await post(`/projects/${projectId}/members`, { email, role: 'editor' })
    }
    const { id } = await post(`/projects/${projectId}/checklists`, { title: 'To buy' })
    for (let n = 0; n < items.length; n += limits.itemsPerOp) {
      const batch = items.slice(n, n + limits.itemsPerOp)
      await push(headers, id, [{ kind: 'item.add', items: batch, after: null }])
    }
    return { id: id as string, projectId: projectId as string, items }
  }

  /** Pushes operations over HTTP, and sends a push again until the service accepts it. */
  async function push(headers: Headers, listId: string, ops: Op[]) {
    for (let n = 0; n < ops.length; n += limits.opsPerPush) {
      const body = { ops: ops.slice(n, n + limits.opsPerPush).map(withId) }
      await http.requestUntilAccepted('POST', `/checklists/${listId}/ops`, { headers, body })
    }
  }
}

/** Returns the operation with a new id. */
export function withId(op: Op): Op {
  return { opId: randomUUID(), ...op }
}
