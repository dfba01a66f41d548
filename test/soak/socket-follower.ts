import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import WebSocket from 'ws'
import type { Change } from '../../schemas/change.ts'
import type { Checklist } from '../../schemas/checklist.ts'
import type { Item } from '../../schemas/item.ts'
import type { Operation, Result } from '../../schemas/operation.ts'
import { type Disconnect, disconnects } from './disconnects.ts'
import type { Account, Fixtures } from './fixtures.ts'

export type SocketFollower = ReturnType<typeof followSocket>

/** The state of a checklist that the follower has built from messages. */
export interface View {
  rev: number
  title: string
  items: Map<string, Item>
}

type Message = {
  type: string
  checklistId: string
  checklist: Checklist & { title: string }
  from: number
  to: number
  changes: Change[]
  results: Result[]
  reason: string
  epoch: string
}

const limits = {
  disconnectMs: 8000,
  retryMs: 300,
  writeMs: 400,
  timeoutMs: 30_000,
  silentMs: 60_000
}

/**
 * Follows checklists over `GET /live`, pushes operations, and disconnects at random times. Sends every operation again,
 * with the same id, until it is acknowledged.
 */
export function followSocket(fixtures: Fixtures, account: Account, listIds: string[]) {
  const { random, addresses } = fixtures
  const views = new Map<string, View>()
  const violations: string[] = []
  const acknowledged = new Map<string, Result>()
  const pending = new Map<string, { checklistId: string; op: Operation }>()
  const closing = new AbortController()
  let disconnect = (_how: Disconnect) => {}
  let epoch: string | undefined
  let connections = 0
  let changes = 0
  const running = run()

  return {
    account,
    views,
    violations,
    acknowledged,
    pending,
    get connections() {
      return connections
    },
    get changes() {
      return changes
    },
    /** Disconnects; the follower connects again. */
    disconnect: (how: Disconnect) => disconnect(how),
    async stop() {
      closing.abort()
      await running
    }
  }

  async function run() {
    while (!closing.signal.aborted) {
      await connect().catch(() => {})
      if (!closing.signal.aborted) await sleep(random.next() * limits.retryMs)
    }
  }

  async function connect() {
    const url = `${random.pick(addresses).replace('http', 'ws')}/live`
    const headers = random.chance(0.5) ? account.headers : { cookie: account.cookie }
    const socket = new WebSocket(url, { headers: { ...headers } })
    const { promise: lost, resolve } = Promise.withResolvers<unknown>()
    const end = () => socket.terminate()
    let isLost = false
    closing.signal.addEventListener('abort', end)
    socket.on('error', () => {})
    socket.on('message', data => isLost || receive(socket, JSON.parse(String(data))))
    let timer = setTimeout(end, limits.timeoutMs)
    socket.on('close', () => {
      closing.signal.removeEventListener('abort', end)
      clearTimeout(timer)
      resolve(null)
    })
    socket.on('open', () => {
      clearTimeout(timer)
      disconnect = how => {
        clearTimeout(timer)
        if (how === 'end') return socket.close()
        if (how === 'reset') return end()
        // Stops reading without closing the socket.
        isLost = true
        socket.pause()
        timer = setTimeout(end, limits.silentMs)
        resolve(null)
      }
      if (!fixtures.isQuiet)
        timer = setTimeout(
          () => disconnect(random.pick(disconnects)),
          random.next() * limits.disconnectMs
        )
    })
    const writing = setInterval(() => write(socket), limits.writeMs * (0.5 + random.next()))
    await lost
    clearInterval(writing)
  }

  function receive(socket: WebSocket, message: Message) {
    const send = (what: object) => socket.send(JSON.stringify(what))
    switch (message.type) {
      case 'welcome': {
        connections++
        epoch ??= message.epoch
        for (const checklistId of listIds) {
          send({ type: 'open', checklistId, since: views.get(checklistId)?.rev, epoch })
        }
        for (const { checklistId, op } of pending.values()) {
          send({ type: 'push', checklistId, ops: [op] })
        }
        return
      }
      case 'snapshot': {
        const { id, rev, title, items } = message.checklist
        if (views.has(id)) violations.push(`received a snapshot at revision ${views.get(id)?.rev}`)
        views.set(id, { rev, title, items: new Map(items.map(item => [item.id, item])) })
        return
      }
      case 'changes': {
        const view = views.get(message.checklistId)
        if (!view || message.from !== view.rev + 1) {
          violations.push(`received changes from ${message.from} at revision ${view?.rev}`)
          return
        }
        for (const change of message.changes) apply(view, change)
        if (view.rev !== message.to) violations.push(`changes to ${message.to} led to ${view.rev}`)
        return
      }
      case 'ack':
        for (const result of message.results) {
          acknowledged.set(result.opId, result)
          pending.delete(result.opId)
        }
        return
      case 'reset':
        violations.push('reset')
        return
      case 'revoked':
        if (message.reason !== 'role_changed') violations.push(`revoked: ${message.reason}`)
        return
      case 'error':
        // The database may be down: the next connection sends pending operations again.
        socket.close()
    }
  }

  function apply(view: View, { rev, kind, itemId = '', after }: Change) {
    if (rev !== view.rev + 1) violations.push(`revision ${rev} after ${view.rev}`)
    view.rev = rev
    changes++
    if (kind === 'item.added' || kind === 'item.updated') view.items.set(itemId, after)
    if (kind === 'item.deleted') view.items.delete(itemId)
    if (kind === 'checklist.updated') view.title = after.title
  }

  function write(socket: WebSocket) {
    if (fixtures.isQuiet || socket.readyState !== socket.OPEN || pending.size > 5) return
    const checklistId = random.pick(listIds)
    const view = views.get(checklistId)
    if (!view) return
    const op = operation(view)
    pending.set(op.opId, { checklistId, op })
    socket.send(JSON.stringify({ type: 'push', checklistId, ops: [op] }))
  }

  function operation({ items, title }: View): Operation {
    const opId = randomUUID()
    const item = items.size > 0 ? random.pick([...items.values()]) : undefined
    const roll = random.next()
    if (!item || roll < 0.4 || items.size < 5) {
      const text = `item ${random.upTo(1e6)}`
      return { opId, kind: 'item.add', itemId: randomUUID(), text, after: item?.id ?? null }
    }
    const { id: itemId, text, done, dueOn } = item
    if (roll < 0.6) {
      const to = `${text.split(' ').slice(0, 2).join(' ')} ${random.upTo(1e6)}`
      return { opId, kind: 'item.set', itemId, set: { text: { from: text, to } } }
    }
    if (roll < 0.75)
      return { opId, kind: 'item.set', itemId, set: { done: { from: done, to: !done } } }
    if (roll < 0.85) return { opId, kind: 'item.move', itemId, after: null }
    if (roll < 0.95) return { opId, kind: 'item.delete', itemId, seen: { text, done, dueOn } }
    return { opId, kind: 'list.rename', from: title, to: `List ${random.upTo(1e6)}` }
  }
}
