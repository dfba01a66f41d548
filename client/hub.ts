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
import type { Clock, FeedEvent, LogLine, Operation, Peer, PresenceState, Result } from './types.ts'
import { hasSameApi, version } from './version.ts'
import { onWake } from './wake.ts'

/** What one tab wants from the leader: all of it, so that a later message replaces an earlier one. */
export interface Wishes {
  /** whether the tab wants a `beat` in response */
  isNew?: boolean
  hasEventListeners: boolean
  lists: Record<string, ListWish>
  /** the newest leader that the tab knows */
  leader: LeaderTerm
  cursors: Cursors
}

/** The terms of leaders increase; of two leaders with the same term, the one with the greater id of its tab is newer. */
export interface LeaderTerm {
  term: number
  id: string
}

/** `cursor` is that of the newest event, and `last` that of the newest event that is not `ready` or `heartbeat`. */
export interface Cursors {
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

/** What the leader sends to the tabs: messages of the service, and its own. */
export type Frame =
  | { type: 'beat'; state: LinkState; cursors: Cursors }
  /** `previous` is `last` before this event */
  | { type: 'event'; event: FeedEvent; previous?: string }
  | ListFrame

type ListFrame = { checklistId: string } & (
  | { type: 'snapshot'; checklist: ConfirmedData; isCaughtUp: boolean }
  | ({ type: 'changes'; epoch: string } & ChangesPage)
  | { type: 'presence'; peers: Peer[]; others?: number; isWhole: boolean }
  | Pick<MessageOf<'revoked'>, 'type' | 'reason' | 'role'>
  | { type: 'error'; code: string }
  /** the connection is lost, or not open yet */
  | { type: 'lost' }
)

type MessageOf<Type> = Extract<MessageOfService, { type: Type }>

export interface HubParts {
  address: string
  fetch: typeof fetch
  WebSocket: typeof WebSocket
  session: Pick<SessionManager, 'headers' | 'ended' | 'onToken' | 'keepFresh'>
  clock: Clock
  log: (line: LogLine) => void
  /** id of the tab of this hub */
  tabId: string
  /** the cursors of this tab */
  cursors: () => Cursors
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
  /** whether the service has not responded to `open` */
  isOpening: boolean
  isCaughtUp: boolean
  isRefused: boolean
  /** the last request of each tab */
  requests: Map<string, number>
  peers: Map<string, Peer>
  others?: number
  /** the next `presence` contains all peers */
  isFirstPresence: boolean
  shown: PresenceState | null
  shownAt: number
  stopShowTimer?: () => void
  stopRetry?: () => void
}

interface Push {
  checklistId: string
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

type PushError = Pick<MessageOf<'error'>, 'message' | 'retryAfterMs'> & { code: string }

const lostError: PushError = {
  code: 'NETWORK',
  message: 'the connection was lost before the results arrived'
}

const temporary = ['BUSY', 'TOO_BUSY', 'TOO_OFTEN', 'DATABASE_UNAVAILABLE', 'INTERNAL']

/** The side of the leader: owns the stream and the socket of all tabs, and sends each tab what it wants. */
export function createHub(parts: HubParts) {
  const { session, clock, log, tabId, deliver, broadcast, onCanPush } = parts
  const tabs = new Map<string, { wishes: Wishes; silentBeats: number }>()
  const lists = new Map<string, HubList>()
  const pushes = new Map<string, Push>()
  const lingering = new Map<Reconnecting, () => void>()
  let pings = 0
  let lastError: MessageOf<'error'> | undefined
  let isOpen = false
  let isOtherVersion = false
  let isClosed = false
  let state: LinkState = { state: 'connecting', retryAt: null }

  const stream = createStream({ ...parts, cursor: () => parts.cursors().cursor })
  const socket = createSocket({ ...parts, onMessage, onClose: onSocketClose })
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

  return { onWishes, update, sendBeat, push, reconnectNow, restartStream: stream.restart, close }

  function close() {
    isClosed = true
    for (const stop of [...stops, stopBeat, ...lingering.values()]) stop()
    for (const list of lists.values()) stopTimers(list)
    stream.want(false)
    socket.want(false)
    session.keepFresh(false)
    onCanPush(false)
    for (const push of pushes.values()) rejectPush(push, lostError)
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
    closeUnused()
    for (const [id, wish] of Object.entries(wishes.lists)) onListWish(id, wish, from)
    if (wishes.isNew && from !== tabId) deliver(beatFrame(), from)
    update()
  }

  function onListWish(id: string, { request, known: theirs }: ListWish, from: string) {
    const list = lists.get(id) ?? createList(id, theirs)
    const isNew = list.requests.get(from) !== request
    list.requests.set(from, request)
    show(list)
    const { known: ours, confirmed, isCaughtUp } = list
    const isSame = ours?.rev === theirs?.rev && ours?.epoch === theirs?.epoch
    if (!lists.has(id) || (isNew && list.isRefused)) {
      lists.set(id, list)
      list.needsSnapshot ||= !theirs
      open(list)
    } else if (isNew && confirmed && !isSame) {
      const checklist = toData(confirmed)
      deliver({ type: 'snapshot', checklistId: id, checklist, isCaughtUp }, from)
    } else if (isNew && !isSame) {
      // The service sends a snapshot, to all tabs; it is on its way already if no revision is known.
      if (ours && !list.needsSnapshot) {
        list.needsSnapshot = true
        open(list)
      }
      return
    } else if (ours && (isNew || (theirs && !isSame))) {
      // The tab compares the revision with its own: while it was frozen, it may have missed changes.
      const { rev, epoch } = ours
      const page = { from: rev + 1, to: rev, head: isCaughtUp ? rev : rev + 1, changes: [] }
      deliver({ type: 'changes', checklistId: id, epoch, ...page }, from)
    }
    if (isNew) {
      const { others, peers } = list
      const all = { peers: [...peers.values()], others, isWhole: true }
      deliver({ type: 'presence', checklistId: id, ...all }, from)
    }
  }

  function createList(id: string, known: ListWish['known']): HubList {
    return {
      id,
      known,
      needsSnapshot: false,
      isOpening: false,
      isCaughtUp: false,
      isRefused: false,
      requests: new Map(),
      peers: new Map(),
      isFirstPresence: true,
      shown: null,
      shownAt: 0
    }
  }

  function closeUnused() {
    for (const list of lists.values()) {
      if (isWanted(list.id)) show(list)
      else {
        lists.delete(list.id)
        stopTimers(list)
        socket.send({ type: 'close', checklistId: list.id })
      }
    }
  }

  function stopTimers(list: HubList) {
    list.stopShowTimer?.()
    list.stopRetry?.()
  }

  function isWanted(id: string, except?: string): boolean {
    return [...tabs].some(([tab, { wishes }]) => tab !== except && wishes.lists[id])
  }

  /** Sends a frame to all tabs that have its checklist open. */
  function send(frame: ListFrame) {
    if (isWanted(frame.checklistId, tabId)) broadcast(frame)
    else deliver(frame, tabId)
  }

  function beatFrame(): Frame {
    return { type: 'beat', state, cursors: parts.cursors() }
  }

  function sendBeat() {
    broadcast(beatFrame())
  }

  function beat() {
    stopBeat = clock.setTimeout(beat, limits.beatMs)
    for (const [id, tab] of tabs) {
      if (id === tabId || ++tab.silentBeats <= limits.silentBeats) continue
      tabs.delete(id)
      for (const { requests } of lists.values()) requests.delete(id)
    }
    closeUnused()
    update()
    sendBeat()
  }

  // Connections

  /** Opens and closes the connections as they are needed, and sends a new state to all tabs. */
  function update() {
    if (isClosed || tabs.size === 0) return
    const hasListeners = [...tabs.values()].some(({ wishes }) => wishes.hasEventListeners)
    const phases = [
      ...want(stream, hasListeners, parts.forgetCursors),
      ...want(socket, lists.size > 0 || pushes.size > 0 || parts.wantsPush())
    ]
    const has = (phase: string) => phases.some(one => one.phase === phase)
    const isBehind = [...lists.values()].some(list => !list.isCaughtUp && !list.isRefused)
    const live = isBehind ? 'catching-up' : 'live'
    const times = phases.flatMap(({ retryAt }) => retryAt ?? [])
    const next: LinkState = {
      state: has('offline') ? 'offline' : has('connecting') ? 'connecting' : live,
      retryAt: times.length > 0 ? Math.min(...times) : null
    }
    if (next.state === state.state && next.retryAt === state.retryAt) return
    state = next
    sendBeat()
  }

  /** Opens a connection, or closes it some time after it was needed last. Returns its phase if it is needed. */
  function want(connection: Reconnecting, isNeeded: boolean, onUnused = () => {}) {
    const stopLingering = lingering.get(connection)
    if (isNeeded) {
      stopLingering?.()
      lingering.delete(connection)
      connection.want(true)
      return [connection.state.get()]
    }
    if (!stopLingering) {
      const close = () => {
        connection.want(false)
        onUnused()
      }
      lingering.set(connection, clock.setTimeout(close, limits.lingerMs))
    }
    return []
  }

  function onSocketClose(isSilent: boolean) {
    if (isClosed) return
    isOpen = false
    onCanPush(false)
    for (const list of lists.values()) lose(list)
    for (const push of pushes.values()) if (push.ping > 0) rejectPush(push, lostError)
    if (isSilent) stream.restart()
  }

  function onMessage(message: MessageOfService) {
    if (isClosed) return
    const list = lists.get(idIn(message) ?? '')
    if (message.type === 'welcome') {
      isOpen = true
      checkVersion(message.version)
      for (const list of lists.values()) open(list)
      for (const push of pushes.values()) sendPush(push)
      onCanPush(true)
    } else if (message.type === 'ack') {
      const push = pushes.get(message.checklistId)
      pushes.delete(message.checklistId)
      push?.resolve(message.results)
    } else if (message.type === 'pong') onPong(message.n)
    else if (message.type === 'error') onError(message, list)
    else if (!list) return
    else if (message.type === 'snapshot') onSnapshot(list, message.checklist)
    else if (message.type === 'changes') onChanges(list, message)
    else if (message.type === 'presence') onPresence(list, message)
    else if (message.type === 'revoked') onRevoked(list, message)
    update()
  }

  function checkVersion(service: string) {
    if (hasSameApi(service) || isOtherVersion) return
    isOtherVersion = true
    const message = `this is version ${version} of the client, but the service has version ${service}`
    log({ level: 'warn', message })
  }

  // Checklists

  function open(list: HubList) {
    lose(list)
    list.isRefused = false
    if (!isOpen) return
    const { id: checklistId, known, needsSnapshot } = list
    list.isOpening = true
    const since = known && !needsSnapshot && { since: known.rev, epoch: known.epoch }
    socket.send({ type: 'open', checklistId, ...since })
    if (list.shown) sendShown(list)
  }

  function lose(list: HubList) {
    list.stopRetry?.()
    list.isOpening = false
    list.isCaughtUp = false
    list.isFirstPresence = true
    list.peers.clear()
    list.others = undefined
    send({ type: 'lost', checklistId: list.id })
  }

  function onSnapshot(list: HubList, checklist: ConfirmedData) {
    const { id: checklistId, rev, epoch } = checklist
    list.confirmed = fromSnapshot(checklist, list.confirmed)
    list.known = { rev, epoch }
    list.needsSnapshot = false
    list.isOpening = false
    list.isCaughtUp = true
    send({ type: 'snapshot', checklistId, checklist, isCaughtUp: true })
  }

  function onChanges(list: HubList, page: MessageOf<'changes'>) {
    const { known, confirmed } = list
    const next = confirmed && applyChanges(confirmed, page.changes)
    if (!known || page.from > known.rev + 1 || next === 'gap') {
      if (list.needsSnapshot) return
      list.confirmed = undefined
      list.needsSnapshot = true
      return open(list)
    }
    const { epoch } = known
    list.confirmed = next
    list.known = { rev: Math.max(known.rev, page.to), epoch }
    // While a snapshot is on its way, these are still the changes of an earlier `open`.
    list.isOpening &&= list.needsSnapshot
    list.isCaughtUp = page.to >= page.head
    send({ ...page, epoch })
  }

  function onPresence(list: HubList, message: MessageOf<'presence'>) {
    for (const peer of message.peers) {
      if (peer.state) list.peers.set(peer.connectionId, peer)
      else list.peers.delete(peer.connectionId)
    }
    list.others = message.others
    send({ ...message, isWhole: list.isFirstPresence })
    list.isFirstPresence = false
  }

  function onRevoked(list: HubList, message: MessageOf<'revoked'>) {
    const { reason, role } = message
    if (role && list.confirmed) list.confirmed = { ...list.confirmed, role }
    // The deletion of a checklist is one of its changes, the deletion of its project is not.
    if (reason === 'removed' || (reason === 'deleted' && list.confirmed?.isDeleted === false))
      refuse(list)
    send(message)
  }

  function refuse(list: HubList) {
    lose(list)
    list.isRefused = true
    list.confirmed = undefined
  }

  function onOpenError(list: HubList, { code, retryAfterMs }: MessageOf<'error'>) {
    if (temporary.includes(code)) {
      const ms = retryAfterMs ?? limits.retryMs * (1 + Math.random())
      list.stopRetry = clock.setTimeout(() => open(list), ms)
    } else {
      refuse(list)
      send({ type: 'error', checklistId: list.id, code })
    }
  }

  // Presence

  /** Shows what the tab shows in which the user was active last. */
  function show(list: HubList) {
    const wishes = [...tabs.values()].flatMap(({ wishes }) => wishes.lists[list.id] ?? [])
    const newest = wishes.reduce((one, other) => (other.shownAt > one.shownAt ? other : one))
    if (list.shownAt === newest.shownAt) return
    list.shown = newest.state
    list.shownAt = newest.shownAt
    if (!list.stopShowTimer) sendShown(list)
  }

  // The state null would hide the user, who still has the checklist open.
  function sendShown(list: HubList) {
    const sentAt = socket.isFull() ? undefined : list.shownAt
    if (sentAt !== undefined)
      socket.send({ type: 'presence', checklistId: list.id, state: list.shown ?? {} })
    list.stopShowTimer?.()
    list.stopShowTimer = clock.setTimeout(() => {
      list.stopShowTimer = undefined
      if (list.shownAt !== sentAt) sendShown(list)
    }, limits.presenceMs)
  }

  // Pushes

  function push(checklistId: string, ops: readonly Operation[]): Promise<Result[]> {
    return new Promise((resolve, reject) => {
      const push: Push = { checklistId, ops, ping: 0, resolve, reject }
      if (pushes.has(checklistId)) {
        return reject(new ConcordError('BUSY', 'a push on this checklist is in flight'))
      }
      pushes.set(checklistId, push)
      if (isOpen) sendPush(push)
      update()
    })
  }

  // The service responds to the ping after the push, also when it refuses the push without naming the checklist.
  function sendPush(push: Push) {
    const { checklistId, ops } = push
    push.ping = ++pings
    socket.send({ type: 'push', checklistId, ops: ops as Operation[] })
    socket.send({ type: 'ping', n: push.ping })
  }

  function rejectPush(push: Push, { code, message, retryAfterMs }: PushError) {
    pushes.delete(push.checklistId)
    push.reject(new ConcordError(code, message, { retryAfterMs: retryAfterMs ?? null }))
  }

  /** The service handles messages in order: a push without results was refused by the error before this pong. */
  function onPong(n?: number) {
    for (const push of pushes.values()) {
      if (push.ping === n) rejectPush(push, lastError ?? lostError)
    }
  }

  function onError(error: MessageOf<'error'>, list: HubList | undefined) {
    lastError = error
    const { code, message, checklistId } = error
    if (checklistId === undefined) {
      log({ level: 'warn', message: `the service refuses a message: ${message}`, code })
    }
    // A push on the same checklist may be refused, too, but never with one of these codes. They also end a subscription.
    const isAboutList = code.startsWith('CHECKLIST_')
    if (list && (isAboutList || list.isOpening || !pushes.has(list.id))) onOpenError(list, error)
  }
}

function idIn(message: MessageOfService): string | undefined {
  if (message.type === 'snapshot') return message.checklist.id
  return 'checklistId' in message ? message.checklistId : undefined
}
