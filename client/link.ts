import type { Readable } from './readable.ts'
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
  /** Shows other users what this user edits; null stops showing it. At most five states a second are sent. */
  show(state: PresenceState | null): void
  /** Requests a snapshot, for example after a refusal. */
  resync(): void
}
