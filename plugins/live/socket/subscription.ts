import type { FastifyInstance } from 'fastify'
import { changeJson, memoize } from '../../../lib/event.ts'
import type { Role } from '../../../schemas/project.ts'
import { readChanges } from '../../../sql/changes.ts'
import { readChecklist } from '../../../sql/checklists.ts'
import type { LogEvent } from '../../../sql/log.ts'
import type { Subscriber } from '../../pubsub/pubsub.ts'

export type Subscription = ReturnType<typeof createSubscription>

/** Where a client says it is in a checklist. */
export interface Place {
  checklistId: string
  since?: number
  epoch?: string
}

export interface SubscriptionParts {
  userId: string
  place: Place
  /** Sends a message, or bytes that are one already. */
  send: (message: object | Buffer) => void
  /** Whether the socket has so much unsent that more must not be sent. */
  isFull: () => boolean
  /** Called when the list cannot be followed any more. */
  onGone: () => void
  /** Called when the database cannot be asked. */
  onFailure: (error: unknown) => void
}

const limits = {
  page: { limit: 500, bytes: 256 << 10 },
  // Changes that arrive while a client catches up; more, and it reads again from where it is.
  backlog: { events: 5000, bytes: 4 << 20 }
}

// One change is one frame, the same bytes for everybody who follows the list.
const frame = memoize((event: LogEvent) => {
  const { checklistId, rev } = event
  const head = JSON.stringify({ type: 'changes', checklistId, from: rev, to: rev, head: rev })
  return Buffer.from(`${head.slice(0, -1)},"changes":[${changeJson(event)}]}`)
})

/**
 * One checklist on one socket: `catching up` (hears its changes into a backlog while it reads where the
 * client is), `live`, `lagging` (hears nothing until the socket has drained, then catches up) or `gone`.
 */
export function createSubscription(
  { pubsub, sql, catchUpLimit, metrics }: FastifyInstance,
  { userId, place, send, isFull, onGone, onFailure }: SubscriptionParts
) {
  const { checklistId } = place
  let state: 'catching_up' | 'live' | 'lagging' | 'closed' = 'catching_up'
  let leaving = new AbortController()
  let backlog: LogEvent[] = []
  let backlogBytes = 0
  let stopHearing = () => {}
  /** Last revision that was sent, and the life of the database it belongs to; null before the first snapshot. */
  let rev: number | null = null
  let { epoch = pubsub.epoch } = place
  /** The project of the list, known memoize it was read, and the head of the log at that moment. */
  let projectId: string | undefined
  let pos = 0

  const subscriber: Subscriber = {
    receive(event) {
      if (state === 'catching_up') keep(event)
      else receive(event)
    },
    reset: () => void resume()
  }

  return {
    checklistId,
    start,
    lag,
    resume,
    onMembership,
    stop,
    get isLagging() {
      return state === 'lagging'
    }
  }

  /** Sends a snapshot, or the changes since the client's place, and goes live. Rejects as `GET /checklists/:id`. */
  async function start() {
    rev = place.since ?? null
    await catchUp(true)
  }

  async function restart(reason?: 'compacted' | 'restored') {
    const signal = hear()
    projectId = undefined // positions of another life of the database mean nothing
    const read = await readUnless(signal, () => readChecklist(sql, userId, checklistId))
    if (!read || signal.aborted) return
    const { pos: at, ...checklist } = read
    pos = at
    if (reason) {
      metrics.resets.inc({ reason })
      send({ type: 'reset', checklistId, reason })
    }
    send({ type: 'snapshot', checklist })
    projectId = checklist.projectId
    ;({ rev, epoch } = checklist)
    if (!signal.aborted) await goLive()
  }

  /**
   * Sends what the client has not got yet, from the log, and goes live; or stays behind when the socket is
   * full. Who asked is answered, if with nothing new.
   */
  async function catchUp(isAsked = false) {
    if (state === 'closed') return
    if (rev === null) return restart()
    if (epoch !== pubsub.epoch) return restart('restored')
    const signal = hear()
    for (let isBehind = true; isBehind; ) {
      const page = await readPage(rev, signal)
      if (page === undefined || signal.aborted) return
      if (!page) return restart('compacted')
      metrics.catchUps.inc({ from: 'log' })
      const { from, to, head, changes } = page
      ;({ projectId, pos } = page)
      rev = to
      if (isAsked || changes.length > 0)
        send({ type: 'changes', checklistId, from, to, head, changes })
      isAsked = false
      if (signal.aborted) return
      if (isFull()) return lag()
      isBehind = to < head
    }
    await goLive()
  }

  /** Goes on wherever it is. */
  function resume() {
    return catchUp().catch(fail)
  }

  /** Returns a page of changes; null when they are compacted, undefined when `signal` aborts. */
  async function readPage(since: number, signal: AbortSignal) {
    const place = { since, ...limits.page }
    try {
      return await readUnless(signal, () => readChanges(sql, userId, checklistId, place))
    } catch (error) {
      if ((error as { code?: string }).code === 'COMPACTED') return null
      throw error
    }
  }

  /** Runs a catch-up query. Returns undefined, whatever comes of it, when `signal` aborts. */
  async function readUnless<T>(signal: AbortSignal, query: () => Promise<T>) {
    try {
      return await catchUpLimit(userId, query, signal)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  // Without an await from the look at the backlog to the last line: no change can come in between.
  async function goLive() {
    if (isOverflown()) return catchUp()
    state = 'live' // goes on hearing what it hears
    const missed = backlog
    empty()
    for (const event of missed) {
      if (event.checklistId) receive(event)
      else onMembership(event)
    }
  }

  /** Moves on. What still runs for the place before ends at its next step. */
  function enter(next: typeof state): AbortSignal {
    leaving.abort()
    leaving = new AbortController()
    state = next
    empty()
    stopHearing()
    return leaving.signal
  }

  function hear(): AbortSignal {
    const signal = enter('catching_up')
    stopHearing = pubsub.subscribe(`checklist:${checklistId}`, subscriber)
    return signal
  }

  function receive(event: LogEvent) {
    if (state !== 'live' || rev === null || event.rev === null || event.rev <= rev) return
    rev = event.rev
    send(frame(event))
    if (event.kind !== 'checklist.deleted') return
    revoke('deleted')
    // A list that is only marked as deleted may come back, and whoever follows it sees that.
    if (event.after === null) stop()
  }

  /** What the log says about the membership of this person. */
  function onMembership(event: LogEvent) {
    // Which project it is about, and whether it was read already, shows when the list has been read.
    if (projectId === undefined) return keep(event)
    if (state === 'closed' || event.projectId !== projectId || event.pos <= pos) return
    const { kind, after, before } = event
    if (kind === 'member.updated') {
      const { role }: { role: Role } = JSON.parse(after ?? '{}')
      revoke('role_changed', role)
    }
    if (kind === 'member.removed') {
      // The log knows the name of a project as long as it is there.
      const { project: left } = JSON.parse(before ?? '{}')
      revoke(left.name === undefined ? 'deleted' : 'removed')
      stop()
    }
  }

  function revoke(reason: 'removed' | 'role_changed' | 'deleted', role?: Role) {
    metrics.revocations.inc({ reason })
    send({ type: 'revoked', checklistId, reason, role })
  }

  function keep(event: LogEvent) {
    if (isOverflown()) return
    backlog.push(event)
    backlogBytes += event.bytes
  }

  /** Returns whether events were left out of the backlog, so that the log has to be read again. */
  function isOverflown() {
    return backlog.length > limits.backlog.events || backlogBytes > limits.backlog.bytes
  }

  function empty() {
    backlog = []
    backlogBytes = 0
  }

  /** The socket has too much unsent: nothing more until it has drained. */
  function lag() {
    if (state !== 'closed') enter('lagging')
  }

  function stop() {
    if (state === 'closed') return
    enter('closed')
    onGone()
  }

  function fail(error: unknown) {
    if (state === 'closed') return
    const { code, message } = error as { code?: string; message: string }
    if (code !== 'CHECKLIST_NOT_FOUND' && code !== 'CHECKLIST_DELETED') return onFailure(error)
    stop()
    send({ type: 'error', code, message, checklistId })
  }
}
