import type { FastifyInstance } from 'fastify'
import { changesFrames, type LogEvent, membershipOf } from '../../../lib/event.ts'
import type { Role } from '../../../schemas/project.ts'
import { readChanges } from '../../../sql/changes.ts'
import { readChecklist } from '../../../sql/checklists.ts'
import type { Subscriber } from '../../pubsub/pubsub.ts'
import type { SubscriberState } from '../subscriber-state.ts'
import type { Sender } from './sender.ts'

export type Subscription = ReturnType<typeof createSubscription>

/** The checklist that a client opens, and the last revision that the client has, if any. */
export interface OpenRequest {
  checklistId: string
  since?: number
  epoch?: string
}

export interface SubscriptionParts {
  userId: string
  request: OpenRequest
  sender: Pick<Sender, 'send' | 'sendFrames' | 'isFull'>
  onClosed: () => void
  /** Called when the database cannot be queried. */
  onFailure: (error: unknown) => void
}

const limits = {
  page: { limit: 500, bytes: 256 << 10 },
  // Events that arrive while the client catches up. When more arrive, they are read from the log again.
  backlog: { events: 5000, bytes: 4 << 20 }
}

/** Sends the past changes of one checklist from the log, then each change as it is committed. */
export function createSubscription(
  {
    pubsub,
    sql,
    catchUpLimit,
    metrics
  }: Pick<FastifyInstance, 'pubsub' | 'sql' | 'catchUpLimit' | 'metrics'>,
  { userId, request, sender: { send, sendFrames, isFull }, onClosed, onFailure }: SubscriptionParts
) {
  const { checklistId } = request
  let state: SubscriberState = 'catching_up'
  let leavingState = new AbortController()
  let backlog: LogEvent[] = []
  let backlogBytes = 0
  let unsubscribe = () => {}
  /** The last revision that was sent, and its epoch. `rev` is null before the first snapshot. */
  let rev: number | null = null
  let { epoch = pubsub.epoch } = request
  /** Undefined until the checklist has been read. `pos` is the head of the log when it was read. */
  let projectId: string | undefined
  let pos = 0

  const subscriber: Subscriber = {
    receive(events) {
      if (state === 'catching_up') events.forEach(addToBacklog)
      else receive(events)
    },
    reset: () => void resume()
  }

  return {
    start,
    lag,
    resume,
    onMembership,
    close,
    get state() {
      return state
    },
    get rev() {
      return rev
    }
  }

  /** Sends a snapshot or the missed changes. Rejects with the errors of `GET /checklists/:checklistId`. */
  async function start() {
    rev = request.since ?? null
    await catchUp(true)
  }

  async function sendSnapshot(reason?: 'compacted' | 'restored') {
    const signal = subscribe()
    projectId = undefined // positions of different epochs cannot be compared
    const read = await readUnless(signal, () => readChecklist(sql, userId, checklistId))
    if (!read || signal.aborted) return
    const { pos: head, ...checklist } = read
    pos = head
    if (reason) {
      metrics.resets.inc({ reason })
      send({ type: 'reset', checklistId, reason })
    }
    send({ type: 'snapshot', checklist })
    projectId = checklist.projectId
    ;({ rev, epoch } = checklist)
    if (!signal.aborted) await goLive()
  }

  /** Lags when the socket is full. If `isRequested`, sends a `changes` message even when there are none. */
  async function catchUp(isRequested = false) {
    if (state === 'closed') return
    if (rev === null) return sendSnapshot()
    if (epoch !== pubsub.epoch) return sendSnapshot('restored')
    const signal = subscribe()
    for (let isBehind = true; isBehind; ) {
      const page = await readPage(rev, signal)
      if (page === undefined || signal.aborted) return
      if (!page) return sendSnapshot('compacted')
      metrics.catchUps.inc({ from: 'log' })
      const { from, to, head, changes } = page
      ;({ projectId, pos } = page)
      rev = to
      if (isRequested || changes.length > 0)
        send({ type: 'changes', checklistId, from, to, head, changes })
      isRequested = false
      if (signal.aborted) return
      if (isFull()) return lag()
      isBehind = to < head
    }
    await goLive()
  }

  function resume() {
    return catchUp().catch(fail)
  }

  /** Returns a page of changes. Returns null when they are compacted, and undefined when `signal` aborts. */
  async function readPage(since: number, signal: AbortSignal) {
    const page = { since, ...limits.page }
    try {
      return await readUnless(signal, () => readChanges(sql, userId, checklistId, page))
    } catch (error) {
      if ((error as { code?: string }).code === 'COMPACTED') return null
      throw error
    }
  }

  /** Runs a catch-up query. Returns undefined when `signal` aborts, even if the query fails. */
  async function readUnless<T>(signal: AbortSignal, query: () => Promise<T>) {
    try {
      return await catchUpLimit(userId, query, signal)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  // There is no await after the check of the backlog, so that no event is delivered in between.
  async function goLive() {
    if (hasOverflowed()) return catchUp()
    state = 'live'
    const missed = backlog
    clearBacklog()
    for (const event of missed) {
      if (event.checklistId) receive([event])
      else onMembership(event)
    }
  }

  /** Clears the backlog and unsubscribes. Returns a signal that aborts when the state changes again. */
  function enter(next: SubscriberState): AbortSignal {
    leavingState.abort()
    leavingState = new AbortController()
    state = next
    clearBacklog()
    unsubscribe()
    return leavingState.signal
  }

  function subscribe(): AbortSignal {
    const signal = enter('catching_up')
    unsubscribe = pubsub.subscribe(`checklist:${checklistId}`, subscriber)
    return signal
  }

  function receive(events: readonly LogEvent[]) {
    if (state !== 'live') return
    const isNew = (event?: LogEvent) => Number(event?.rev) > Number(rev)
    // The same array for all subscriptions, whose bytes are made once.
    const next = isNew(events[0]) ? events : events.filter(isNew)
    const last = next.at(-1)
    if (!last) return
    ;({ rev } = last)
    sendFrames(changesFrames(next))
    if (last.kind !== 'checklist.deleted') return
    revoke('deleted')
    // A checklist that is marked as deleted can be restored, unless its row was deleted (`after` is null).
    if (last.after === null) close()
  }

  function onMembership(event: LogEvent) {
    if (projectId === undefined) return addToBacklog(event)
    if (state === 'closed' || event.projectId !== projectId || event.pos <= pos) return
    const { role, project } = membershipOf(event)
    if (event.kind === 'member.updated') revoke('role_changed', role)
    if (event.kind === 'member.removed') {
      revoke(project.name === undefined ? 'deleted' : 'removed')
      close()
    }
  }

  function revoke(reason: 'removed' | 'role_changed' | 'deleted', role?: Role) {
    metrics.revocations.inc({ reason })
    send({ type: 'revoked', checklistId, reason, role })
  }

  function addToBacklog(event: LogEvent) {
    if (hasOverflowed()) return
    backlog.push(event)
    backlogBytes += event.bytes
  }

  /** Returns whether the backlog is over its limits. It may miss events then, so they must be read from the log. */
  function hasOverflowed() {
    return backlog.length > limits.backlog.events || backlogBytes > limits.backlog.bytes
  }

  function clearBacklog() {
    backlog = []
    backlogBytes = 0
  }

  function lag() {
    if (state !== 'closed') enter('lagging')
  }

  function close() {
    if (state === 'closed') return
    enter('closed')
    onClosed()
  }

  function fail(error: unknown) {
    if (state === 'closed') return
    const { code, message } = error as { code?: string; message: string }
    if (code !== 'CHECKLIST_NOT_FOUND' && code !== 'CHECKLIST_DELETED') return onFailure(error)
    close()
    send({ type: 'error', code, message, checklistId })
  }
}
