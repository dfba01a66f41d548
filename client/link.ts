import { ConcordError } from './errors.ts'
import {
  type Cursors,
  createHub,
  type Frame,
  type Hub,
  type HubParts,
  type LeaderTerm,
  type ListWish,
  type Wishes
} from './hub.ts'
import { type Readable, writable } from './readable.ts'
import type { SessionManager } from './session.ts'
import type { Leadership, Tabs } from './tabs.ts'
import type {
  Change,
  ChecklistData,
  ConnectionState,
  FeedEvent,
  Operation,
  Peer,
  PresenceState,
  Result,
  Role
} from './types.ts'

/** The connection that all tabs of a browser share, as one tab sees it. */
export interface Link {
  readonly state: Readable<LinkState>
  /** true in the tab that owns the connection */
  readonly isLeader: Readable<boolean>
  /**
   * true while this tab is the leader and its socket is open. The socket is kept open while this value has a subscriber,
   * so subscribe only while there are operations to push.
   */
  readonly canPush: Readable<boolean>
  /** Calls `run` for every event of the stream, from now on, also for `ready`, `heartbeat` and `reset`. */
  onEvent(run: (event: FeedEvent) => void): () => void
  /**
   * Opens a checklist for this tab until `close` is called. `known` is the confirmed state to resume from. Opening a
   * checklist again replaces its handler.
   */
  open(
    checklistId: string,
    handler: ListHandler,
    known?: { rev: number; epoch: string }
  ): OpenedList
  /**
   * Only in the leader, and one push at a time per checklist. Waits for the socket. Rejects with NETWORK when the socket
   * closes before the results arrive, with the code of the service when it refuses the push.
   */
  push(checklistId: string, ops: readonly Operation[]): Promise<Result[]>
  /** Tries to connect now instead of after the current wait. */
  reconnectNow(): void
  close(): void
}

export interface LinkState {
  state: ConnectionState
  /** time of the next try to connect, in milliseconds since 1970; null when none is planned */
  retryAt: number | null
}

/**
 * Receives what the service sends about one checklist: a snapshot, or the changes after `known`, and then all changes
 * without a gap. Another snapshot replaces everything before it.
 */
export interface ListHandler {
  snapshot(checklist: ChecklistData): void
  changes(page: ChangesPage): void
  /** `peers`: those that changed, without a state when they left; with `isWhole` all peers. `others` are not shown. */
  presence(peers: Peer[], others: number, isWhole: boolean): void
  revoked(reason: 'removed' | 'role_changed' | 'deleted', role?: Role): void
  /** The service refuses to open the checklist. `resync` tries again. */
  refused(code: string): void
  /** Whether everything that was committed has been received. */
  caughtUp(isCaughtUp: boolean): void
}

export interface ChangesPage {
  from: number
  to: number
  head: number
  changes: Change[]
}

/** A checklist that a tab has opened. */
export interface OpenedList {
  close(): void
  /** Shows other users what this user edits; null: nothing. At most five states a second are sent. */
  show(state: PresenceState | null): void
  /** Requests a snapshot, for example after a refusal. */
  resync(): void
}

export interface LinkParts
  extends Pick<HubParts, 'address' | 'fetch' | 'WebSocket' | 'clock' | 'log'> {
  session: Pick<SessionManager, 'state'> & HubParts['session']
  leadership: Leadership
  tabs: Tabs | false
}

/** A checklist that this tab has open. */
interface TabList extends ListWish {
  handler: ListHandler
  /** what the handler has received */
  received: { rev: number; epoch: string } | null
  isCaughtUp: boolean
}

/** A message between tabs. Tabs of different users ignore each other. */
type Envelope = { userId: string | undefined } & (
  | { term: number; frame: Frame; to?: string }
  | { wishes: Wishes }
  | { reconnect: true }
)

const limits = {
  /** After a change of the leader, events may arrive twice. */
  seen: 1000,
  /** A leader younger than this may not know yet how many terms there were before. */
  youngMs: 5000,
  robbedMs: 1000
}

function isNewer(one: LeaderTerm, other: LeaderTerm): boolean {
  return one.term > other.term || (one.term === other.term && one.id > other.id)
}

/** `last` of a tab that has missed events */
const missed = 'missed'

/** events that change nothing */
const control = ['ready', 'heartbeat', 'session.ended']

export function createLink(parts: LinkParts): Link {
  const { session, leadership, tabs, clock, log } = parts
  const { bus, isLeader } = leadership
  const state = writable<LinkState>({ state: 'connecting', retryAt: null })
  const canPush = writable(false, () => {
    wantsPush = true
    hub?.update()
    return () => {
      wantsPush = false
      hub?.update()
    }
  })
  const eventRuns = new Set<{ run: (event: FeedEvent) => void }>()
  const lists = new Map<string, TabList>()
  /** cursors of the events that this tab has received */
  const seen = new Set<string>()
  let cursors: Cursors = {}
  /**
   * The newest leader that this tab knows. Frames of an older leader are ignored, because it may not know yet that it has
   * been replaced.
   */
  let leader: LeaderTerm = { term: 0, id: '' }
  let leaderSince = 0
  /** when this leader learned of a newer one */
  let outdatedAt: number | undefined
  let userId: string | undefined
  let wantsPush = false
  let requests = 0
  let isClosed = false
  /** whether wishes are about to be sent, and whether they are to be `isNew` */
  let pending: { isNew: boolean } | undefined
  let hub: Hub | undefined
  const stops = [
    bus.on<Envelope>('link', onEnvelope),
    session.state.subscribe(onSession),
    isLeader.subscribe(onLeadership),
    ...(tabs ? [tabs.onHide(onHide), tabs.onShow(() => sendWishes(true))] : [])
  ]

  return {
    state,
    isLeader,
    canPush,

    onEvent(run) {
      const listener = { run }
      eventRuns.add(listener)
      if (eventRuns.size === 1) sendWishes()
      return () => {
        if (eventRuns.delete(listener) && eventRuns.size === 0) sendWishes()
      }
    },

    open(checklistId, handler, known) {
      const id = checklistId.toLowerCase()
      const list: TabList = {
        handler,
        request: ++requests,
        known: known ?? null,
        received: known ?? null,
        isCaughtUp: false,
        state: null,
        shownAt: 0
      }
      lists.set(id, list)
      sendWishes()
      const isOpen = () => lists.get(id) === list
      return {
        close() {
          if (!isOpen()) return
          lists.delete(id)
          sendWishes()
        },
        show(state) {
          if (!isOpen()) return
          list.state = state
          list.shownAt = Math.max(Date.now(), list.shownAt + 1)
          sendWishes()
        },
        resync() {
          if (!isOpen()) return
          list.received = null
          requestSnapshot(list)
        }
      }
    },

    push(checklistId, ops) {
      if (hub) return hub.push(checklistId.toLowerCase(), ops)
      return Promise.reject(new ConcordError('NETWORK', 'this tab does not own the connection'))
    },

    reconnectNow() {
      if (hub) hub.reconnectNow()
      else bus.send('link', { userId, reconnect: true } satisfies Envelope)
    },

    close() {
      for (const stop of stops) stop()
      isClosed = true
      lists.clear()
      eventRuns.clear()
      flush()
      closeHub()
    }
  }

  function onSession(now: ReturnType<typeof session.state.get>) {
    const next = now.state === 'signed-in' ? now.user.id : undefined
    if (next !== userId) {
      closeHub()
      userId = next
      cursors = {}
      seen.clear()
      for (const list of lists.values()) {
        list.received = null
        Object.assign(list, { request: ++requests, known: null })
        setCaughtUp(list, false)
      }
    }
    if (now.state !== 'signed-in') {
      const isSignedOut = now.state === 'signed-out'
      setState({ state: isSignedOut ? 'needs-sign-in' : 'connecting', retryAt: null })
    } else if (state.get().state === 'needs-sign-in') {
      setState({ state: 'connecting', retryAt: null })
    }
    onLeadership(isLeader.get())
  }

  function setState(next: LinkState) {
    const { state: name, retryAt } = state.get()
    if (next.state !== name || next.retryAt !== retryAt) state.set(next)
  }

  function onLeadership(isLeading: boolean) {
    if (!isLeading) closeHub()
    else if (userId !== undefined && !hub) openHub()
    sendWishes(true)
  }

  // No messages arrive in the back/forward cache.
  function onHide() {
    if (cursors.last !== undefined) cursors = { last: missed }
  }

  function openHub() {
    leader = { term: leader.term + 1, id: bus.tabId }
    leaderSince = clock.now()
    outdatedAt = undefined
    const post = (frame: Frame, to?: string) =>
      bus.send('link', { userId, term: leader.term, frame, to } satisfies Envelope)
    hub = createHub({
      ...parts,
      tabId: bus.tabId,
      cursors: () => cursors,
      forgetCursors() {
        cursors = {}
      },
      wantsPush: () => wantsPush,
      broadcast(frame) {
        if (frame.type === 'beat') setState(frame.state)
        post(frame)
        receive(frame)
      },
      deliver(frame, to) {
        if (to === bus.tabId) receive(frame)
        else post(frame, to)
      },
      onEvent(event) {
        if (isKnown(event)) return
        const previous = cursors.last === missed ? undefined : cursors.last
        const frame: Frame = { type: 'event', event, previous }
        post(frame)
        receive(frame)
      },
      onCanPush: canPush.set
    })
  }

  function closeHub() {
    const closing = hub
    hub = undefined
    closing?.close()
  }

  /** Sends what this tab wants, after all changes that are made at once. */
  function sendWishes(isNew = false) {
    if (!pending) queueMicrotask(() => isClosed || flush())
    pending = { isNew: isNew || pending?.isNew === true }
  }

  function flush() {
    const { isNew } = pending ?? { isNew: false }
    pending = undefined
    const wishes: Wishes = {
      isNew,
      hasEventListeners: eventRuns.size > 0,
      lists: Object.fromEntries(
        [...lists].map(([id, { handler, received, isCaughtUp, ...wish }]) => [id, wish])
      ),
      leader,
      cursors
    }
    if (hub) hub.onWishes(wishes, bus.tabId)
    else if (userId !== undefined) bus.send('link', { userId, wishes } satisfies Envelope)
  }

  function onEnvelope(envelope: Envelope, from: string) {
    if (envelope.userId !== userId || userId === undefined) return
    if ('frame' in envelope) {
      const { term, frame, to = bus.tabId } = envelope
      if (frame.type === 'beat') sendWishes()
      const sender = { term, id: from }
      if (isNewer(leader, sender)) return
      leader = sender
      if (hub) leadership.yield()
      if (to === bus.tabId) receive(frame)
    } else if ('wishes' in envelope) onWishes(envelope.wishes, from)
    else hub?.reconnectNow()
  }

  function onWishes(wishes: Wishes, from: string) {
    if (!hub) return
    if (isNewer(wishes.leader, leader)) {
      // This tab owns the lock, unless it was frozen and learns now that it has lost it.
      const now = clock.now()
      outdatedAt ??= now
      if (now - leaderSince < limits.youngMs || now - outdatedAt > limits.robbedMs) {
        leader = { term: wishes.leader.term + 1, id: bus.tabId }
        outdatedAt = undefined
        hub.sendBeat()
      }
    }
    // A leader without a cursor takes the one of another tab, so that this tab misses nothing.
    if (!cursors.cursor && wishes.cursors.cursor) {
      join(wishes.cursors)
      hub.restartStream() // it may be about to open without a cursor
    }
    hub.onWishes(wishes, from)
  }

  function receive(frame: Frame) {
    if (frame.type === 'beat') return onBeat(frame)
    if (frame.type === 'event') return onEvent(frame)
    const list = lists.get(frame.checklistId)
    if (!list) return
    const { handler } = list
    switch (frame.type) {
      case 'snapshot':
        return onSnapshot(list, frame)
      case 'changes':
        return onChanges(list, frame)
      case 'presence':
        return handler.presence(frame.peers, frame.others ?? 0, frame.isWhole)
      case 'revoked':
        return handler.revoked(frame.reason, frame.role)
      case 'error':
        return handler.refused(frame.code)
      case 'lost':
        handler.presence([], 0, true)
        return setCaughtUp(list, false)
    }
  }

  // Events

  function onBeat(frame: Extract<Frame, { type: 'beat' }>) {
    if (hub) return
    setState(frame.state)
    const { cursor, last } = frame.cursors
    if (cursor) {
      // Otherwise the leader is behind this tab.
      if (last === cursors.last || !seen.has(last ?? '')) join(frame.cursors)
    } else if (eventRuns.size === 0) cursors = {}
  }

  function onEvent({ event, previous }: Extract<Frame, { type: 'event' }>) {
    if (isKnown(event)) return
    const { type, cursor } = event
    // A stream that did not resume begins with `ready`.
    if (control.includes(type)) join({ cursor, last: previous ?? cursor })
    else {
      if (type !== 'reset') join({ cursor, last: previous })
      adopt({ cursor, last: cursor })
    }
    emit(event)
  }

  function isKnown({ type, cursor }: FeedEvent) {
    return type !== 'reset' && !control.includes(type) && seen.has(cursor)
  }

  /** Receives the events after `next.last` from now on. If this tab has received others, it may have missed some. */
  function join(next: Cursors) {
    const hasMissed = cursors.last !== undefined && cursors.last !== next.last
    // For example, this tab was frozen. Its listeners load their data again. Events that arrive again from here on are
    // not skipped: only in their order do they end with the newest state.
    if (hasMissed) seen.clear()
    adopt(next)
    if (hasMissed) emit({ type: 'reset', reason: 'expired', cursor: next.cursor ?? '' })
  }

  function adopt(next: Cursors) {
    cursors = next
    if (next.last !== undefined) seen.add(next.last)
    if (seen.size > limits.seen) seen.delete(seen.values().next().value as string)
  }

  function emit(event: FeedEvent) {
    for (const { run } of [...eventRuns]) {
      try {
        run(event)
      } catch (error) {
        log({ level: 'warn', message: 'a listener of events failed', error })
      }
    }
  }

  // Checklists

  function onSnapshot(
    list: TabList,
    { checklist, isCaughtUp }: Extract<Frame, { type: 'snapshot' }>
  ) {
    const { rev, epoch } = checklist
    const { received } = list
    if (received?.epoch === epoch && rev < received.rev) {
      // From a leader that is behind: its next changes follow what this tab has, or are skipped.
      list.known = received
      return
    }
    setKnown(list, { rev, epoch })
    list.handler.snapshot(checklist)
    setCaughtUp(list, isCaughtUp)
  }

  function onChanges(list: TabList, page: Extract<Frame, { type: 'changes' }>) {
    const { known } = list
    if (!known) return
    const { epoch, from, to, head, changes } = page
    if (epoch !== known.epoch || from > known.rev + 1) return requestSnapshot(list)
    if (to > known.rev) {
      setKnown(list, { rev: to, epoch })
      list.handler.changes({
        from: known.rev + 1,
        to,
        head,
        changes: changes.filter(({ rev }) => rev > known.rev)
      })
    }
    setCaughtUp(list, Math.max(to, known.rev) >= head)
  }

  function setKnown(list: TabList, known: TabList['known']) {
    list.known = known
    list.received = known
  }

  function requestSnapshot(list: TabList) {
    list.known = null
    list.request = ++requests
    setCaughtUp(list, false)
    sendWishes()
  }

  function setCaughtUp(list: TabList, isCaughtUp: boolean) {
    if (list.isCaughtUp === isCaughtUp) return
    list.isCaughtUp = isCaughtUp
    list.handler.caughtUp(isCaughtUp)
  }
}
