import { applyChanges, type Confirmed, fromSnapshot, toData } from './confirmed.ts'
import { createShown } from './shown.ts'
import type { MessageOf, Socket } from './socket.ts'
import type { Known, ListFrame, ListWish } from './tab-messages.ts'
import type { Clock, Peer } from './types.ts'

export type HubList = ReturnType<typeof createHubList>

export interface HubListParts {
  id: string
  known: Known | null
  socket: Pick<Socket, 'send' | 'isFull' | 'isOpen'>
  clock: Clock
  /** Sends a frame to one tab, or to all that have the checklist open. */
  send: (frame: ListFrame, to?: string) => void
}

type ListMessage = MessageOf<'snapshot' | 'changes' | 'presence' | 'revoked'>

const retryMs = 2000

const temporary = ['BUSY', 'TOO_BUSY', 'TOO_OFTEN', 'DATABASE_UNAVAILABLE', 'INTERNAL']

/** Opens a checklist for all tabs, and sends each of them what it needs. */
export function createHubList({ id, known: first, socket, clock, send }: HubListParts) {
  /** the newest state; undefined when only its revision is known */
  let confirmed: Confirmed | undefined
  let known = first
  /** a tab needs a snapshot, and `confirmed` is undefined */
  let needsSnapshot = !first
  /** whether the service has not responded to `open` */
  let isOpening = false
  let isCaughtUp = false
  let isRefused = false
  /** the last request of each tab */
  const requests = new Map<string, number>()
  const peers = new Map<string, Peer>()
  let others: number | undefined
  let isFirstPresence = true
  let stopRetry = () => {}
  const shown = createShown(id, socket, clock)
  open()

  return {
    open,
    lose,
    onWish,
    onMessage,
    onError,
    isBehind: () => !isCaughtUp && !isRefused,
    show: shown.show,

    forgetTab(tabId: string) {
      requests.delete(tabId)
    },

    stop() {
      stopRetry()
      shown.stop()
    }
  }

  function open() {
    lose()
    isRefused = false
    if (!socket.isOpen()) return
    isOpening = true
    const since = known && !needsSnapshot && { since: known.rev, epoch: known.epoch }
    socket.send({ type: 'open', checklistId: id, ...since })
    shown.repeat()
  }

  function lose() {
    stopRetry()
    isOpening = false
    isCaughtUp = false
    isFirstPresence = true
    peers.clear()
    others = undefined
    send({ type: 'lost' })
  }

  function requestSnapshot() {
    if (needsSnapshot) return
    confirmed = undefined
    needsSnapshot = true
    open()
  }

  function onWish({ request, known: theirs }: ListWish, from: string) {
    const isNew = requests.get(from) !== request
    requests.set(from, request)
    const isSame = known?.rev === theirs?.rev && known?.epoch === theirs?.epoch
    if (isNew && isRefused) {
      needsSnapshot ||= !theirs
      open()
    } else if (isNew && !isSame) {
      if (!confirmed) requestSnapshot()
      else send({ type: 'snapshot', checklist: toData(confirmed), isCaughtUp }, from)
    } else if (known && (isNew || (theirs && !isSame))) {
      // The tab compares the revision with its own: while it was frozen, it may have missed changes.
      const { rev, epoch } = known
      const page = { from: rev + 1, to: rev, head: isCaughtUp ? rev : rev + 1, changes: [] }
      send({ type: 'changes', epoch, ...page }, from)
    }
    if (isNew) send({ type: 'presence', peers: [...peers.values()], others, isWhole: true }, from)
  }

  function onMessage(message: ListMessage) {
    switch (message.type) {
      case 'snapshot': {
        const { checklist } = message
        confirmed = fromSnapshot(checklist, confirmed)
        known = { rev: checklist.rev, epoch: checklist.epoch }
        needsSnapshot = false
        isOpening = false
        isCaughtUp = true
        return send({ ...message, isCaughtUp })
      }
      case 'changes':
        return onChanges(message)
      case 'presence':
        for (const peer of message.peers) {
          if (peer.state) peers.set(peer.connectionId, peer)
          else peers.delete(peer.connectionId)
        }
        others = message.others
        send({ ...message, isWhole: isFirstPresence })
        isFirstPresence = false
        return
      case 'revoked': {
        const { reason, role } = message
        if (role && confirmed) confirmed = { ...confirmed, role }
        // The deletion of a checklist is one of its changes, the deletion of its project is not.
        if (reason === 'removed' || (reason === 'deleted' && confirmed?.isDeleted === false))
          refuse()
        send(message)
      }
    }
  }

  function onChanges(page: MessageOf<'changes'>) {
    const next = confirmed && applyChanges(confirmed, page.changes)
    if (!known || page.from > known.rev + 1 || next === 'gap') return requestSnapshot()
    confirmed = next
    known = { ...known, rev: Math.max(known.rev, page.to) }
    // While a snapshot is on its way, these are still the changes of an earlier `open`.
    isOpening &&= needsSnapshot
    isCaughtUp = page.to >= page.head
    send({ ...page, epoch: known.epoch })
  }

  function refuse() {
    lose()
    isRefused = true
    confirmed = undefined
  }

  function onError({ code, retryAfterMs }: MessageOf<'error'>, isPushing: boolean) {
    // A push on the same checklist may be refused, too, but never with one of these codes. They also end a subscription.
    const isAboutList = code.startsWith('CHECKLIST_')
    if (isPushing && !isOpening && !isAboutList) return
    if (temporary.includes(code)) {
      stopRetry = clock.setTimeout(open, retryAfterMs ?? retryMs * (1 + Math.random()))
    } else {
      refuse()
      send({ type: 'error', code })
    }
  }
}
