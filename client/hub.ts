import { createHubList, type HubList } from './hub-list.ts'
import type { LinkState } from './link.ts'
import { createPushes } from './pushes.ts'
import { setFields, writable } from './readable.ts'
import type { Reconnecting } from './reconnect.ts'
import type { SessionManager } from './session.ts'
import { createSocket, type MessageOfService } from './socket.ts'
import { createStream } from './stream.ts'
import type { Cursors, Frame, Known, Wishes } from './tab-messages.ts'
import type { Clock, FeedEvent, LogLine, Operation, Result } from './types.ts'
import { hasSameApi, version } from './version.ts'
import { onWake } from './wake.ts'

export interface HubParts {
  address: string
  fetch: typeof fetch
  WebSocket: typeof WebSocket
  session: Pick<SessionManager, 'isUser' | 'headers' | 'ended' | 'onToken' | 'keepFresh'>
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
  /** Delivers a frame to this tab or to one other; without `to` to all. */
  send: (frame: Frame, to?: string) => void
  onEvent: (event: FeedEvent) => void
  onCanPush: (canPush: boolean) => void
}

export type Hub = ReturnType<typeof createHub>

const limits = {
  beatMs: 5000,
  /** beats that a tab may leave without response: hidden tabs respond, frozen and closed ones do not */
  silentBeats: 4,
  /** how long an unused connection is kept */
  lingerMs: 10_000,
  /** silence of a stream after waking, above which its connection is replaced */
  wakeSilenceMs: 3000
}

/** The side of the leader: owns the stream and the socket of all tabs, and sends each tab what it wants. */
export function createHub(parts: HubParts) {
  const { session, clock, log, tabId, onCanPush } = parts
  const tabs = new Map<string, { wishes: Wishes; silentBeats: number }>()
  const lists = new Map<string, HubList>()
  const lingering = new Map<Reconnecting, () => void>()
  let isOtherVersion = false
  let isClosed = false
  const state = writable<LinkState>({ state: 'connecting', retryAt: null })

  const stream = createStream({ ...parts, cursor: () => parts.cursors().cursor })
  const socket = createSocket({ ...parts, onMessage, onClose: onSocketClose })
  const pushes = createPushes(socket)
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
  state.subscribe(() => sendBeat())

  return { onWishes, update, push, reconnectNow, restartStream: stream.restart, close }

  function close() {
    isClosed = true
    for (const stop of [...stops, stopBeat, ...lingering.values()]) stop()
    for (const list of lists.values()) list.stop()
    stream.want(false)
    socket.want(false)
    session.keepFresh(false)
    onCanPush(false)
    pushes.loseAll()
  }

  function reconnectNow() {
    stream.retryNow()
    socket.retryNow()
    if (!socket.check()) stream.check(limits.wakeSilenceMs)
  }

  function push(checklistId: string, ops: readonly Operation[]): Promise<Result[]> {
    const results = pushes.push(checklistId, ops)
    update()
    return results
  }

  // Tabs

  function onWishes(wishes: Wishes, from: string) {
    tabs.set(from, { wishes, silentBeats: 0 })
    // First, because the service limits the number of open checklists.
    closeUnused()
    for (const [id, wish] of Object.entries(wishes.lists)) {
      const list = lists.get(id) ?? openList(id, wish.known)
      list.onWish(wish, from)
      showNewest(id, list)
    }
    if (wishes.isNew && from !== tabId) sendBeat(from)
    update()
  }

  function openList(id: string, known: Known | null): HubList {
    const list = createHubList({
      ...{ id, known, socket, clock },
      // Only to this tab if no other one has it open.
      send(frame, to = isWantedElsewhere(id) ? undefined : tabId) {
        parts.send({ ...frame, checklistId: id }, to)
      }
    })
    lists.set(id, list)
    return list
  }

  function closeUnused() {
    for (const [id, list] of lists) {
      if (wishesFor(id).length > 0) showNewest(id, list)
      else {
        lists.delete(id)
        list.stop()
        socket.send({ type: 'close', checklistId: id })
      }
    }
  }

  function wishesFor(id: string) {
    return [...tabs.values()].flatMap(({ wishes }) => wishes.lists[id] ?? [])
  }

  function isWantedElsewhere(id: string): boolean {
    return [...tabs].some(([tab, { wishes }]) => tab !== tabId && wishes.lists[id])
  }

  /** Shows what the tab shows in which the user was active last. */
  function showNewest(id: string, list: HubList) {
    list.show(wishesFor(id).reduce((one, other) => (other.shownAt > one.shownAt ? other : one)))
  }

  function sendBeat(to?: string) {
    parts.send({ type: 'beat', state: state.get(), cursors: parts.cursors() }, to)
  }

  function beat() {
    stopBeat = clock.setTimeout(beat, limits.beatMs)
    for (const [id, tab] of tabs) {
      if (id === tabId || ++tab.silentBeats <= limits.silentBeats) continue
      tabs.delete(id)
      for (const list of lists.values()) list.forgetTab(id)
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
      ...want(socket, lists.size > 0 || !pushes.isEmpty() || parts.wantsPush())
    ]
    const has = (phase: string) => phases.some(one => one.phase === phase)
    const live = [...lists.values()].some(list => list.isBehind()) ? 'catching-up' : 'live'
    const times = phases.flatMap(({ retryAt }) => retryAt ?? [])
    setFields(state, {
      state: has('offline') ? 'offline' : has('connecting') ? 'connecting' : live,
      retryAt: times.length > 0 ? Math.min(...times) : null
    })
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
    onCanPush(false)
    for (const list of lists.values()) list.lose()
    pushes.loseAll()
    if (isSilent) stream.restart()
  }

  function onMessage(message: MessageOfService) {
    if (isClosed) return
    switch (message.type) {
      case 'welcome':
        checkVersion(message.version)
        for (const list of lists.values()) list.open()
        pushes.sendAll()
        onCanPush(true)
        break
      case 'ack':
        pushes.onAck(message)
        break
      case 'pong':
        pushes.onPong(message)
        break
      case 'error': {
        const { checklistId: id, code, message: text } = message
        pushes.onError(message)
        if (id) lists.get(id)?.onError(message, pushes.has(id))
        else log({ level: 'warn', message: `the service refuses a message: ${text}`, code })
        break
      }
      case 'snapshot':
        lists.get(message.checklist.id)?.onMessage(message)
        break
      case 'changes':
      case 'presence':
      case 'revoked':
        lists.get(message.checklistId)?.onMessage(message)
    }
    update()
  }

  function checkVersion(service: string) {
    if (hasSameApi(service) || isOtherVersion) return
    isOtherVersion = true
    const message = `this is version ${version} of the client, but the service has version ${service}`
    log({ level: 'warn', message })
  }
}
