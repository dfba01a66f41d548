import { ConcordError } from './errors.ts'
import { createHub, type Hub, type HubParts } from './hub.ts'
import { type Readable, setFields, writable } from './readable.ts'
import type { SessionManager } from './session.ts'
import { createTabEvents } from './tab-events.ts'
import { createTabLists, type ListHandler, type OpenedList } from './tab-lists.ts'
import type { Envelope, Frame, Known, TabMessage, Wishes } from './tab-messages.ts'
import type { Leadership, Tabs } from './tabs.ts'
import type { ConnectionState, FeedEvent, Operation, Result } from './types.ts'

export type { ChangesPage, ListHandler, OpenedList } from './tab-lists.ts'

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
  open(checklistId: string, handler: ListHandler, known?: Known): OpenedList
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

export interface LinkParts
  extends Pick<HubParts, 'address' | 'fetch' | 'WebSocket' | 'clock' | 'log'> {
  session: Pick<SessionManager, 'state'> & HubParts['session']
  leadership: Leadership
  tabs: Tabs | false
}

// A leader that has been silent for longer may be gone, so another one counts, even if it seems older.
const leaderMs = 20_000

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
  const events = createTabEvents(log)
  const lists = createTabLists(sendWishes)
  /**
   * The newest leader that this tab knows. Frames of an older one are ignored, because it may not know yet that it has been
   * replaced. All tabs read the same clock for `since`.
   */
  let leader = { since: 0, tabId: '', aliveAt: 0 }
  let userId: string | undefined
  let wantsPush = false
  let isClosed = false
  /** whether wishes are about to be sent, and whether they are to be `isNew` */
  let pending: { isNew: boolean } | undefined
  let hub: Hub | undefined
  const stops = [
    bus.on<Envelope>('link', onEnvelope),
    session.state.subscribe(onSession),
    isLeader.subscribe(onLeadership),
    ...(tabs ? [tabs.onHide(events.onHide), tabs.onShow(() => sendWishes(true))] : [])
  ]

  return {
    state,
    isLeader,
    canPush,

    onEvent(run) {
      const listener = { run }
      events.listeners.add(listener)
      sendWishes()
      return () => {
        events.listeners.delete(listener)
        sendWishes()
      }
    },

    open: (checklistId, handler, known) =>
      lists.open(checklistId.toLowerCase(), handler, known ?? null),

    push(checklistId, ops) {
      if (hub) return hub.push(checklistId.toLowerCase(), ops)
      return Promise.reject(new ConcordError('NETWORK', 'this tab does not own the connection'))
    },

    reconnectNow() {
      if (hub) hub.reconnectNow()
      else post({ reconnect: true })
    },

    close() {
      for (const stop of stops) stop()
      isClosed = true
      lists.clear()
      events.listeners.clear()
      flush()
      closeHub()
    }
  }

  function onSession(now: ReturnType<typeof session.state.get>) {
    const next = now.state === 'signed-in' ? now.user.id : undefined
    if (next !== userId) {
      closeHub()
      userId = next
      events.forget()
      lists.restart()
    }
    if (now.state !== 'signed-in') {
      const isSignedOut = now.state === 'signed-out'
      setFields(state, { state: isSignedOut ? 'needs-sign-in' : 'connecting', retryAt: null })
    } else if (state.get().state === 'needs-sign-in') {
      setFields(state, { state: 'connecting', retryAt: null })
    }
    onLeadership(isLeader.get())
  }

  function onLeadership(isLeading: boolean) {
    if (!isLeading) closeHub()
    else if (userId !== undefined && !hub) openHub()
    sendWishes(true)
  }

  function openHub() {
    const since = Math.max(Date.now(), leader.since + 1)
    leader = { since, tabId: bus.tabId, aliveAt: Number.POSITIVE_INFINITY }
    const send = (frame: Frame, to?: string) => {
      if (to !== bus.tabId) post({ frame, since, to })
      if ((to ?? bus.tabId) === bus.tabId) receive(frame)
    }
    hub = createHub({
      ...parts,
      send,
      tabId: bus.tabId,
      cursors: events.cursors,
      forgetCursors: events.forget,
      wantsPush: () => wantsPush,
      onEvent(event) {
        const frame = events.frameOf(event)
        if (frame) send(frame)
      },
      onCanPush: canPush.set
    })
  }

  function closeHub() {
    const closing = hub
    hub = undefined
    closing?.close()
  }

  function post(message: TabMessage) {
    bus.send('link', { userId, ...message } satisfies Envelope)
  }

  /** Sends what this tab wants, after all changes that are made at once. */
  function sendWishes(isNew = false) {
    if (!pending) queueMicrotask(() => isClosed || flush())
    pending = { isNew: isNew || pending?.isNew === true }
  }

  function flush() {
    const wishes: Wishes = {
      isNew: pending?.isNew === true,
      hasEventListeners: events.listeners.size > 0,
      lists: lists.wishes(),
      cursors: events.cursors()
    }
    pending = undefined
    if (hub) hub.onWishes(wishes, bus.tabId)
    else if (userId !== undefined) post({ wishes })
  }

  function onEnvelope(envelope: Envelope, from: string) {
    if (envelope.userId !== userId || userId === undefined) return
    if ('frame' in envelope) onFrame(envelope, from)
    else if ('wishes' in envelope) onWishes(envelope.wishes, from)
    else hub?.reconnectNow()
  }

  function onFrame(
    { frame, since, to = bus.tabId }: Extract<TabMessage, { frame: Frame }>,
    from: string
  ) {
    const isOlder = since < leader.since || (since === leader.since && from < leader.tabId)
    if (isOlder && clock.now() - leader.aliveAt < leaderMs) return
    leader = { since, tabId: from, aliveAt: clock.now() }
    if (hub) leadership.yield()
    if (frame.type === 'beat') sendWishes()
    if (to === bus.tabId) receive(frame)
  }

  function onWishes(wishes: Wishes, from: string) {
    if (!hub) return
    // A leader without a cursor takes the one of another tab, so that this tab misses nothing.
    if (!events.cursors().cursor && wishes.cursors.cursor) {
      events.join(wishes.cursors)
      hub.restartStream() // it may be about to open without a cursor
    }
    hub.onWishes(wishes, from)
  }

  function receive(frame: Frame) {
    if (frame.type === 'beat') {
      setFields(state, frame.state)
      if (!hub) events.onBeat(frame.cursors)
    } else if (frame.type === 'event') events.receive(frame)
    else lists.receive(frame.checklistId, frame)
  }
}
