import {
  applyChanges,
  type Confirmed,
  type ConfirmedData,
  fromSnapshot,
  toData
} from './confirmed.ts'
import { ConcordError } from './errors.ts'
import type { ChangesPage, LinkState } from './link.ts'
import type { Reconnecting } from './reconnect.ts'
import type { SessionManager } from './session.ts'
import { createSocket, type MessageOfService } from './socket.ts'
import { createStream } from './stream.ts'
import type {
  Clock,
  FeedEvent,
  LogLine,
  Operation,
  Peer,
  PresenceState,
  Result,
  Role
} from './types.ts'
import { hasSameApi, version } from './version.ts'
import { onWake } from './wake.ts'

/** What one tab wants from the leader: all of it, so that a later message replaces an earlier one. */
export interface Wishes {
  /** whether the tab wants a `beat` in response */
  isNew?: boolean
  hasEventListeners: boolean
  lists: Record<string, ListWish>
  /** cursor of the newest event of any type, and of the newest event that changed something */
  cursor?: string
  last?: string
}

export interface ListWish {
  /** number of the request: a higher one than before requests the state */
  request: number
  /** what the tab has; null when it needs a snapshot */
  known: { rev: number; epoch: string } | null
  state: PresenceState | null
  /** time of `state`: the newest one of all tabs is shown to other users */
  shownAt: number
}

/** What the leader sends to the tabs. */
export type Frame =
  | { type: 'beat'; state: LinkState; cursor?: string; last?: string }
  /** `previous` is the cursor of the event before this one, if known */
  | { type: 'event'; event: FeedEvent; previous?: string }
  | { type: 'snapshot'; checklistId: string; checklist: ConfirmedData; isCaughtUp: boolean }
  | ({ type: 'changes'; checklistId: string; epoch: string } & ChangesPage)
  | { type: 'presence'; checklistId: string; peers: Peer[]; others: number; isWhole: boolean }
  | { type: 'revoked'; checklistId: string; reason: RevokeReason; role?: Role }
  | { type: 'refused'; checklistId: string; code: string }
  /** the connection is lost, or not open yet */
  | { type: 'lost'; checklistId: string }

/** A message to the service: `open` with a revision, `open` without one, or `push`. */
type Request = 'since' | 'whole' | 'push'

type RevokeReason = 'removed' | 'role_changed' | 'deleted'

export interface HubParts {
  address: string
  fetch: typeof fetch
  WebSocket: typeof WebSocket
  session: Pick<SessionManager, 'headers' | 'ended' | 'onToken' | 'keepFresh'>
  clock: Clock
  log: (line: LogLine) => void
  /** id of the tab of this hub */
  tabId: string
  /** the newest cursors that this tab has seen */
  cursors: () => Pick<Wishes, 'cursor' | 'last'>
  /** Forgets the cursors: no tab listens to events any more. */
  forgetCursors: () => void
  /** whether this tab waits for `onCanPush` */
  wantsPush: () => boolean
  /** Delivers a frame to this tab or to one other. */
  deliver: (frame: Frame, to: string) => void
  /** Delivers a frame to all tabs. */
  broadcast: (frame: Frame) => void
  onEvent: (event: FeedEvent) => void
  onCanPush: (canPush: boolean) => void
}

export type Hub = ReturnType<typeof createHub>

/** A checklist that a tab has open. */
interface HubList {
  id: string
  /** the newest state; undefined when only its revision is known */
  confirmed?: Confirmed
  known: ListWish['known']
  /** a tab needs a snapshot, and `confirmed` is undefined */
  needsSnapshot: boolean
  isCaughtUp: boolean
  refusal?: string
  /** the last request of each tab */
  requests: Map<string, number>
  peers: Map<string, Peer>
  others: number
  /** the next `presence` contains all peers */
  isFirstPresence: boolean
  shown: PresenceState | null
  shownAt: number
  stopShowTimer?: () => void
  stopRetry?: () => void
}

interface Push {
  ops: readonly Operation[]
  /** number of the ping that was sent after it; 0 when it is not sent */
  ping: number
  resolve: (results: Result[]) => void
  reject: (error: ConcordError) => void
}

const limits = {
  beatMs: 5000,
  /** beats that a tab may leave without response: hidden tabs respond, frozen and closed ones do not */
  silentBeats: 4,
  /** how long an unused connection is kept */
  lingerMs: 10_000,
  presenceMs: 200,
  retryMs: 2000,
  /** silence of a stream after waking, above which its connection is replaced */
  wakeSilenceMs: 3000
}

const temporary = ['BUSY', 'TOO_BUSY', 'TOO_OFTEN', 'DATABASE_UNAVAILABLE', 'INTERNAL']

/** The side of the leader: owns the stream and the socket of all tabs, and sends each tab what it wants. */
export function createHub(parts: HubParts) {
  const { session, clock, tabId, deliver, broadcast, onCanPush } = parts
  const tabs = new Map<string, { wishes: Wishes; silentBeats: number }>()
  const lists = new Map<string, HubList>()
  const pushes = new Map<string, Push>()
  /** the messages of each checklist to which the service has not responded; it responds in order */
  const unanswered = new Map<string, Request[]>()
  let pings = 0
  let lastError = ''
  let isOpen = false
  let isOtherVersion = false
  let isClosed = false
  let state: LinkState = { state: 'connecting', retryAt: null }

  const stream = createStream({
    ...parts,
    cursor: () => parts.cursors().cursor
  })
  const socket = createSocket({ ...parts, onMessage, onClose: onSocketClose })
  const lingering = new Map<Reconnecting, () => void>()
  let stopBeat = clock.setTimeout(beat, limits.beatMs)
  const stops = [
    stream.state.subscribe(update),
    socket.state.subscribe(update),
    onWake(clock, () => {
      session.keepFresh(true)
      reconnectNow()
    })
  ]
  session.keepFresh(true)
  sendBeat()

  return {
    get state() {
      return state
    },
    onWishes,
    update,
    push,
    reconnectNow,
    close
  }

  function close() {
    isClosed = true
    for (const stop of [...stops, stopBeat, ...lingering.values()]) stop()
    for (const list of lists.values()) forget(list)
    stream.want(false)
    socket.want(false)
    session.keepFresh(false)
    onCanPush(false)
    for (const id of pushes.keys()) rejectPush(id, 'NETWORK', 'another tab has the connection now')
  }

  function reconnectNow() {
    stream.retryNow()
    socket.retryNow()
    if (!socket.check()) stream.check(limits.wakeSilenceMs)
  }

  // Tabs

  function onWishes(wishes: Wishes, from: string) {
    tabs.set(from, { wishes, silentBeats: 0 })
    // First, because the service limits the number of open checklists.
    removeUnused()
    for (const [id, wish] of Object.entries(wishes.lists)) onListWish(id, wish, from)
    if (wishes.isNew && from !== tabId) deliver(beatFrame(), from)
    update()
  }

  function onListWish(id: string, wish: ListWish, from: string) {
    const list = lists.get(id)
    if (!list) return add(id, wish, from)
    const isNew = list.requests.get(from) !== wish.request
    list.requests.set(from, wish.request)
    const { known } = list
    const isSame = known?.rev === wish.known?.rev && known?.epoch === wish.known?.epoch
    if (isNew && list.refusal) {
      list.needsSnapshot ||= !wish.known
      open(list)
    } else if (isNew && !(isSame && known)) give(list, from)
    // The tab compares the revision with its own: while it was frozen, it may have missed changes.
    else if (known && (isNew || (wish.known && !isSame))) {
      deliver(emptyPage(list, known), from)
      if (isNew) givePresence(list, from)
    }
  }

  function add(id: string, { known, request }: ListWish, from: string) {
    const list: HubList = {
      id,
      known,
      needsSnapshot: false,
      isCaughtUp: false,
      requests: new Map([[from, request]]),
      peers: new Map(),
      others: 0,
      isFirstPresence: true,
      shown: null,
      shownAt: 0
    }
    lists.set(id, list)
    broadcastOf(id, { type: 'lost', checklistId: id })
    const newest = newestShown(id)
    list.shown = newest.state
    list.shownAt = newest.shownAt
    open(list)
  }

  /** Sends the state to a tab. If it is unknown here, requests it from the service: then all tabs receive it. */
  function give(list: HubList, to: string) {
    const { id: checklistId, confirmed, isCaughtUp } = list
    if (confirmed) {
      deliver({ type: 'snapshot', checklistId, checklist: toData(confirmed), isCaughtUp }, to)
      givePresence(list, to)
    } else if (!list.needsSnapshot) {
      // Without a known revision, the service is sending a snapshot already.
      list.needsSnapshot = list.known !== null
      if (list.needsSnapshot) open(list)
    }
  }

  function givePresence({ id: checklistId, peers, others }: HubList, to: string) {
    deliver(
      { type: 'presence', checklistId, peers: [...peers.values()], others, isWhole: true },
      to
    )
  }

  function emptyPage(list: HubList, { rev, epoch }: { rev: number; epoch: string }): Frame {
    const head = list.isCaughtUp ? rev : rev + 1
    return {
      type: 'changes',
      checklistId: list.id,
      epoch,
      from: rev + 1,
      to: rev,
      head,
      changes: []
    }
  }

  function removeUnused() {
    for (const list of lists.values()) {
      if (isWanted(list.id)) show(list)
      else {
        lists.delete(list.id)
        forget(list)
        socket.send({ type: 'close', checklistId: list.id })
      }
    }
  }

  function forget(list: HubList) {
    list.stopShowTimer?.()
    list.stopRetry?.()
  }

  function isWanted(id: string, except?: string): boolean {
    for (const [tab, { wishes }] of tabs) if (tab !== except && wishes.lists[id]) return true
    return false
  }

  function broadcastOf(checklistId: string, frame: Frame) {
    if (isWanted(checklistId, tabId)) broadcast(frame)
    else deliver(frame, tabId)
  }

  function beatFrame(): Frame {
    return { type: 'beat', state, ...parts.cursors() }
  }

  function sendBeat() {
    if (!isClosed) broadcast(beatFrame())
  }

  function beat() {
    stopBeat = clock.setTimeout(beat, limits.beatMs)
    for (const [id, tab] of tabs) {
      if (id === tabId || ++tab.silentBeats <= limits.silentBeats) continue
      tabs.delete(id)
      for (const { requests } of lists.values()) requests.delete(id)
    }
    removeUnused()
    update()
    sendBeat()
  }

  // Connections

  /** Opens and closes the connections as they are needed, and sends a new state to all tabs. */
  function update() {
    if (isClosed || tabs.size === 0) return
    const needsStream = [...tabs.values()].some(({ wishes }) => wishes.hasEventListeners)
    const needsSocket = lists.size > 0 || pushes.size > 0 || parts.wantsPush()
    want(stream, needsStream, parts.forgetCursors)
    want(socket, needsSocket)
    const phases = [needsStream && stream, needsSocket && socket].flatMap(connection =>
      connection ? [connection.state.get()] : []
    )
    const isIn = (phase: string) => phases.some(one => one.phase === phase)
    const isCatchingUp = [...lists.values()].some(list => !list.isCaughtUp && !list.refusal)
    const times = phases.flatMap(({ retryAt }) => retryAt ?? [])
    const next: LinkState = {
      state: isIn('offline')
        ? 'offline'
        : isIn('connecting')
          ? 'connecting'
          : isCatchingUp
            ? 'catching-up'
            : 'live',
      retryAt: times.length > 0 ? Math.min(...times) : null
    }
    if (next.state === state.state && next.retryAt === state.retryAt) return
    state = next
    sendBeat()
  }

  function want(connection: Reconnecting, isNeeded: boolean, onUnused = () => {}) {
    if (isNeeded) {
      lingering.get(connection)?.()
      lingering.delete(connection)
      connection.want(true)
    } else if (!lingering.has(connection) && connection.state.get().phase !== 'closed') {
      const close = () => {
        connection.want(false)
        onUnused()
      }
      lingering.set(connection, clock.setTimeout(close, limits.lingerMs))
    }
  }

  function onSocketClose(isSilent: boolean) {
    if (isClosed) return
    isOpen = false
    unanswered.clear()
    onCanPush(false)
    for (const list of lists.values()) {
      list.stopRetry?.()
      list.isCaughtUp = false
      broadcastOf(list.id, { type: 'lost', checklistId: list.id })
      resetPresence(list)
    }
    for (const [id, { ping }] of pushes) {
      if (ping > 0) rejectPush(id, 'NETWORK', 'the connection was lost before the results arrived')
    }
    if (isSilent) stream.restart()
  }

  function onMessage(message: MessageOfService) {
    if (isClosed) return
    switch (message.type) {
      case 'welcome':
        isOpen = true
        checkVersion(message.version)
        for (const list of lists.values()) open(list)
        for (const [id, push] of pushes) sendPush(id, push)
        onCanPush(true)
        break
      case 'ack':
        respond(message.checklistId, 'push')
        pushes.get(message.checklistId)?.resolve(message.results)
        pushes.delete(message.checklistId)
        break
      case 'pong':
        onPong(message.n)
        break
      case 'error':
        onError(message)
        break
      case 'snapshot': {
        const list = lists.get(message.checklist.id)
        if (list) onSnapshot(list, message.checklist)
        break
      }
      case 'changes':
      case 'presence':
      case 'revoked': {
        const list = lists.get(message.checklistId)
        if (!list) break
        if (message.type === 'changes') onChanges(list, message)
        else if (message.type === 'presence') onPresence(list, message.peers, message.others ?? 0)
        else onRevoked(list, message.reason, message.role)
      }
    }
    update()
  }

  function checkVersion(service: string) {
    if (hasSameApi(service) || isOtherVersion) return
    isOtherVersion = true
    const message = `this is version ${version} of the client, but the service has version ${service}`
    parts.log({ level: 'warn', message })
  }

  // Checklists

  function open(list: HubList) {
    list.refusal = undefined
    list.stopRetry?.()
    list.isCaughtUp = false
    if (!isOpen) return
    const { id: checklistId, known, needsSnapshot } = list
    resetPresence(list)
    const since = known && !needsSnapshot ? { since: known.rev, epoch: known.epoch } : undefined
    expect(checklistId, since ? 'since' : 'whole')
    socket.send({ type: 'open', checklistId, ...since })
    if (list.shown) sendShown(list)
  }

  function onSnapshot(list: HubList, checklist: ConfirmedData) {
    respond(list.id, 'since', 'whole')
    const { rev, epoch } = checklist
    list.confirmed = fromSnapshot(checklist, list.confirmed)
    list.known = { rev, epoch }
    list.needsSnapshot = false
    list.isCaughtUp = true
    broadcastOf(list.id, { type: 'snapshot', checklistId: list.id, checklist, isCaughtUp: true })
  }

  function onChanges(list: HubList, page: ChangesPage) {
    const { id: checklistId, known, confirmed } = list
    respond(checklistId, 'since')
    const next = confirmed && applyChanges(confirmed, page.changes)
    if (!known || page.from > known.rev + 1 || next === 'gap') {
      if (list.needsSnapshot) return
      list.confirmed = undefined
      list.needsSnapshot = true
      return open(list)
    }
    const { from, to, head, changes } = page
    const { epoch } = known
    list.confirmed = next
    list.known = { rev: Math.max(known.rev, to), epoch }
    list.isCaughtUp = to >= head
    broadcastOf(checklistId, { type: 'changes', checklistId, epoch, from, to, head, changes })
  }

  function onPresence(list: HubList, peers: Peer[], others: number) {
    for (const peer of peers) {
      if (peer.state) list.peers.set(peer.connectionId, peer)
      else list.peers.delete(peer.connectionId)
    }
    list.others = others
    const isWhole = list.isFirstPresence
    list.isFirstPresence = false
    broadcastOf(list.id, { type: 'presence', checklistId: list.id, peers, others, isWhole })
  }

  function resetPresence(list: HubList) {
    const hadPeers = list.peers.size > 0 || list.others > 0
    list.peers.clear()
    list.isFirstPresence = true
    if (hadPeers) onPresence(list, [], 0)
    list.isFirstPresence = true
  }

  function onRevoked(list: HubList, reason: RevokeReason, role?: Role) {
    // The deletion of a checklist is one of its changes, the deletion of its project is not.
    if (reason === 'removed' || (reason === 'deleted' && list.confirmed?.isDeleted === false)) {
      list.confirmed = undefined
      list.refusal = 'CHECKLIST_NOT_FOUND'
      resetPresence(list)
    }
    if (role && list.confirmed) list.confirmed = { ...list.confirmed, role }
    broadcastOf(list.id, { type: 'revoked', checklistId: list.id, reason, role })
  }

  function onOpenError(list: HubList, code: string, retryAfterMs?: number) {
    if (temporary.includes(code)) {
      const ms = retryAfterMs ?? limits.retryMs * (1 + Math.random())
      list.stopRetry = clock.setTimeout(() => open(list), ms)
      return
    }
    list.confirmed = undefined
    list.refusal = code
    broadcastOf(list.id, { type: 'refused', checklistId: list.id, code })
  }

  // Presence

  function newestShown(id: string): Pick<ListWish, 'state' | 'shownAt'> {
    let newest: Pick<ListWish, 'state' | 'shownAt'> = { state: null, shownAt: 0 }
    for (const { wishes } of tabs.values()) {
      const wish = wishes.lists[id]
      if (wish && wish.shownAt > newest.shownAt) newest = wish
    }
    return newest
  }

  /** Shows what the tab shows in which the user was last active. */
  function show(list: HubList) {
    const { state, shownAt } = newestShown(list.id)
    if (list.shownAt === shownAt) return
    list.shown = state
    list.shownAt = shownAt
    if (!list.stopShowTimer) sendShown(list)
  }

  // The state null would hide the user, who still has the checklist open.
  function sendShown(list: HubList) {
    const sentAt = socket.isFull() ? undefined : list.shownAt
    if (sentAt !== undefined) {
      socket.send({ type: 'presence', checklistId: list.id, state: list.shown ?? {} })
    }
    list.stopShowTimer?.()
    list.stopShowTimer = clock.setTimeout(() => {
      list.stopShowTimer = undefined
      if (list.shownAt !== sentAt) sendShown(list)
    }, limits.presenceMs)
  }

  // Pushes

  function push(checklistId: string, ops: readonly Operation[]): Promise<Result[]> {
    if (pushes.has(checklistId)) {
      return Promise.reject(new ConcordError('BUSY', 'a push on this checklist is in flight'))
    }
    return new Promise((resolve, reject) => {
      const push: Push = { ops, ping: 0, resolve, reject }
      pushes.set(checklistId, push)
      if (isOpen) sendPush(checklistId, push)
      update()
    })
  }

  // The service responds to the ping after the push, also when it refuses the push without naming the checklist.
  function sendPush(checklistId: string, push: Push) {
    push.ping = ++pings
    expect(checklistId, 'push')
    socket.send({ type: 'push', checklistId, ops: push.ops as Operation[] })
    socket.send({ type: 'ping', n: push.ping })
  }

  function rejectPush(checklistId: string, code: string, message: string, retryAfterMs?: number) {
    const push = pushes.get(checklistId)
    pushes.delete(checklistId)
    push?.reject(new ConcordError(code, message, { retryAfterMs: retryAfterMs ?? null }))
  }

  function onPong(n?: number) {
    for (const [id, push] of pushes) {
      if (push.ping !== n) continue
      respond(id, 'push')
      rejectPush(id, 'BAD_MESSAGE', lastError)
    }
  }

  function onError({ code, message, checklistId, retryAfterMs }: ErrorMessage) {
    if (checklistId === undefined) {
      lastError = message
      parts.log({ level: 'warn', message: `the service refuses a message: ${message}`, code })
      return
    }
    const list = lists.get(checklistId)
    if (respond(checklistId) === 'push') rejectPush(checklistId, code, message, retryAfterMs)
    else if (list) onOpenError(list, code, retryAfterMs)
  }

  function expect(checklistId: string, request: Request) {
    const requests = unanswered.get(checklistId) ?? []
    unanswered.set(checklistId, requests)
    requests.push(request)
  }

  /** Removes the oldest request without response, if it is one of these, and returns it. */
  function respond(checklistId: string, ...kinds: Request[]) {
    const requests = unanswered.get(checklistId)
    const [oldest] = requests ?? []
    if (!oldest || (kinds.length > 0 && !kinds.includes(oldest))) return
    if (requests?.length === 1) unanswered.delete(checklistId)
    return requests?.shift()
  }
}

type ErrorMessage = Extract<MessageOfService, { type: 'error' }>
