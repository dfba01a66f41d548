import type { Known, ListFrame, ListWish } from './tab-messages.ts'
import type { Change, ChecklistData, Peer, PresenceState, Role } from './types.ts'

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

/** A checklist that this tab has open. */
interface TabList {
  wish: ListWish
  handler: ListHandler
  /** what the handler has received */
  received: Known | null
  isCaughtUp: boolean
}

/** The checklists that one tab has open. `onWish` is called when this tab wants something else from the leader. */
export function createTabLists(onWish: () => void) {
  const lists = new Map<string, TabList>()
  let requests = 0

  return {
    wishes: () => Object.fromEntries([...lists].map(([id, { wish }]) => [id, wish])),
    clear: () => lists.clear(),

    open(id: string, handler: ListHandler, known: Known | null): OpenedList {
      const wish = { request: ++requests, known, state: null, shownAt: 0 }
      const list: TabList = { wish, handler, received: known, isCaughtUp: false }
      lists.set(id, list)
      onWish()
      const whileOpen = (run: () => void) => {
        if (lists.get(id) !== list) return
        run()
        onWish()
      }
      return {
        close: () => whileOpen(() => lists.delete(id)),
        resync: () => whileOpen(() => requestSnapshot(list)),
        show: state =>
          whileOpen(() => {
            const shownAt = Math.max(Date.now(), list.wish.shownAt + 1)
            list.wish = { ...list.wish, state, shownAt }
          })
      }
    },

    /** Begins again, for another user. */
    restart() {
      for (const list of lists.values()) requestSnapshot(list)
    },

    receive(id: string, frame: ListFrame) {
      const list = lists.get(id)
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
  }

  function onSnapshot(
    list: TabList,
    { checklist, isCaughtUp }: Extract<ListFrame, { type: 'snapshot' }>
  ) {
    const { rev, epoch } = checklist
    const { received } = list
    if (received?.epoch === epoch && rev < received.rev) {
      // From a leader that is behind: its next changes follow what this tab has, or are skipped.
      list.wish.known = received
      return
    }
    setKnown(list, { rev, epoch })
    list.handler.snapshot(checklist)
    setCaughtUp(list, isCaughtUp)
  }

  function onChanges(list: TabList, page: Extract<ListFrame, { type: 'changes' }>) {
    const { known } = list.wish
    if (!known) return
    const { epoch, from, to, head, changes } = page
    if (epoch !== known.epoch || from > known.rev + 1) {
      requestSnapshot(list, list.received)
      return onWish()
    }
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

  function setKnown(list: TabList, known: Known) {
    list.wish.known = known
    list.received = known
  }

  /** Requests a snapshot. One that is older than `received` is skipped. */
  function requestSnapshot(list: TabList, received: Known | null = null) {
    list.received = received
    list.wish = { ...list.wish, request: ++requests, known: null }
    setCaughtUp(list, false)
  }

  function setCaughtUp(list: TabList, isCaughtUp: boolean) {
    if (list.isCaughtUp === isCaughtUp) return
    list.isCaughtUp = isCaughtUp
    list.handler.caughtUp(isCaughtUp)
  }
}
