import type { ConfirmedData } from './confirmed.ts'
import type { LinkState } from './link.ts'
import type { MessageOf } from './socket.ts'
import type { ChangesPage } from './tab-lists.ts'
import type { FeedEvent, Peer, PresenceState } from './types.ts'

/** A message between tabs. Tabs of different users ignore each other. */
export type Envelope = { userId: string | undefined } & TabMessage

export type TabMessage =
  /** `since`: when the leader began to lead, in milliseconds since 1970 */
  { frame: Frame; since: number; to?: string } | { wishes: Wishes } | { reconnect: true }

/** The requests of one tab to the leader. Each message contains all of them and replaces the message before it. */
export interface Wishes {
  /** whether the tab wants a `beat` in response */
  isNew: boolean
  hasEventListeners: boolean
  lists: Record<string, ListWish>
  cursors: Cursors
}

/** `cursor` is that of the newest event, and `last` that of the newest event that is not `ready` or `heartbeat`. */
export interface Cursors {
  cursor?: string
  last?: string
}

/** The state of a checklist that a tab or the leader has. */
export interface Known {
  rev: number
  epoch: string
}

export interface ListWish {
  /** number of the request: a higher one than before requests the state */
  request: number
  /** what the tab has; null when it needs a snapshot */
  known: Known | null
  state: PresenceState | null
  /** time of `state`: the newest one of all tabs is shown to other users */
  shownAt: number
}

/** A message from the leader to the tabs: one of the service, or its own. */
export type Frame =
  | { type: 'beat'; state: LinkState; cursors: Cursors }
  /** `previous` is `last` before this event */
  | { type: 'event'; event: FeedEvent; previous?: string }
  | ({ checklistId: string } & ListFrame)

/** A message from the leader about one checklist. */
export type ListFrame =
  | { type: 'snapshot'; checklist: ConfirmedData; isCaughtUp: boolean }
  | ({ type: 'changes'; epoch: string } & ChangesPage)
  | { type: 'presence'; peers: Peer[]; others?: number; isWhole: boolean }
  | Pick<MessageOf<'revoked'>, 'type' | 'reason' | 'role'>
  | { type: 'error'; code: string }
  /** the connection is lost, or not open yet */
  | { type: 'lost' }
