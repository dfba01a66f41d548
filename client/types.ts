import type { Change as ChangeRow } from '../schemas/change.ts'
import type {
  Checklist as ChecklistRow,
  ChecklistSummary as ChecklistSummaryRow
} from '../schemas/checklist.ts'
import type { Conflict as ConflictRow } from '../schemas/conflict.ts'
import type { ErrorCode as ServiceErrorCode } from '../schemas/error.ts'
import type { FeedEvents as FeedEventRows } from '../schemas/feed-events.ts'
import type { Item as ItemRow } from '../schemas/item.ts'
import type { Member as MemberRow } from '../schemas/member.ts'
import type { Operation as OperationRow, Result as ResultRow } from '../schemas/operation.ts'
import type { Peer as PeerRow, PresenceState as PresenceStateRow } from '../schemas/presence.ts'
import type { Project as ProjectRow, Role as RoleName } from '../schemas/project.ts'
import type { Session as SessionRow } from '../schemas/session.ts'
import type { Me as MeRow, User as UserRow } from '../schemas/user.ts'
import type { ConcordError } from './errors.ts'
import type { Readable } from './readable.ts'
import type { Storage } from './storage.ts'
import type { Tabs } from './tabs.ts'

/** A type as its JSON: a `Date` is a string. */
export type Wire<T> = T extends Date
  ? string
  : T extends readonly (infer Element)[]
    ? Wire<Element>[]
    : T extends object
      ? { [Key in keyof T]: Wire<T[Key]> }
      : T

export type Role = RoleName
export type User = Wire<UserRow>
export type Me = Wire<MeRow>
export type Project = Wire<ProjectRow>
export type Member = Wire<MemberRow>
export type ChecklistSummary = Wire<ChecklistSummaryRow>
export type ChecklistData = Wire<ChecklistRow>
export type Item = Wire<ItemRow>
export type Conflict = Wire<ConflictRow>
export type Change = Wire<ChangeRow>
export type Operation = Wire<OperationRow>
export type Result = Wire<ResultRow>
export type PresenceState = Wire<PresenceStateRow>
export type Peer = Wire<PeerRow>
export type SessionInfo = Wire<SessionRow>

/** The events of `GET /events`, by type. */
export type Events = Wire<FeedEventRows>

/** The codes of the service, and those of the client itself. */
export type ErrorCode =
  | ServiceErrorCode
  /** the service cannot be reached, or did not respond in time */
  | 'NETWORK'
  /** the address belongs to another program, or to a service of another version */
  | 'NOT_CONCORD'
  /** the user is signed out */
  | 'SIGNED_OUT'
  /** `signal` was aborted, or the client is closed */
  | 'ABORTED'
  /** an argument that the service would refuse */
  | 'INVALID'
  /** a checklist has as many items as are allowed */
  | 'LIMIT'
  /** a text or title is longer than allowed */
  | 'TOO_LONG'
  /** this device has as many unsent operations as are allowed */
  | 'TOO_MUCH_UNSENT'
  /** the user may not change this checklist any more */
  | 'READ_ONLY'

export interface Options {
  /** default: the global `fetch` */
  fetch?: typeof fetch
  /** default: the global `WebSocket`. Node 20 has none: pass the one of the package `ws` */
  WebSocket?: WebSocketClass
  /** where operations are stored until they are confirmed. Default: IndexedDB in browsers, memory elsewhere */
  storage?: Storage
  /** how tabs share one connection. Default: Web Locks and BroadcastChannel in browsers. `false`: not at all */
  tabs?: Tabs | false
  /** closes the client when it aborts */
  signal?: AbortSignal
  /** receives what may help to find a fault, for example a lost connection and its cause. Default: nowhere */
  log?: (line: LogLine) => void
  /** the clock and the timers, for tests */
  clock?: Clock
}

/** The part of `WebSocket` that a client uses, so that the type of the package `ws` fits too. */
export type WebSocketClass = new (
  url: string,
  // biome-ignore lint/suspicious/noExplicitAny: a browser and Node disagree about the second argument
  options?: any
) => { readonly bufferedAmount: number; send(data: string): void; close(): void }

export interface LogLine {
  level: 'debug' | 'warn'
  message: string
  [field: string]: unknown
}

export interface Clock {
  /** milliseconds of a clock that never jumps, such as `performance.now()` */
  now(): number
  /** Calls `run` once after `ms` milliseconds, unless the returned function is called before. */
  setTimeout(run: () => void, ms: number): () => void
}

/** Options of a call that sends a request. */
export interface Call {
  signal?: AbortSignal
}

/**
 * A value that is loaded when the first subscriber arrives and follows the events of the service as long as there is
 * one. It is undefined until it is loaded.
 */
export interface Live<T> extends Readable<T | undefined> {
  /** the error of the last try to load the value; null after a success */
  readonly error: Readable<ConcordError | null>
  /** Resolves with the value when it is loaded. Rejects with the error of the first try that fails for good. */
  ready(call?: Call): Promise<T>
}

export type SignedOutReason = Events['session.ended']['reason']

export type Session =
  /** until the service has responded for the first time, when no user is stored on this device */
  | { state: 'unknown' }
  | { state: 'signed-in'; user: Me }
  /** `reason` is null when the user has not been signed in on this device */
  | { state: 'signed-out'; reason: SignedOutReason | null }

export type ConnectionState = 'connecting' | 'catching-up' | 'live' | 'offline' | 'needs-sign-in'

export interface Connection {
  state: ConnectionState
  /** operations of this user on this device that the service has not confirmed */
  unsent: number
  /** those of `unsent` that wait because the user may not change their checklists any more */
  held: number
  /** open conflicts in the checklists that are subscribed to */
  toDecide: number
  /** time of the next try to connect, in milliseconds since 1970; null when none is planned */
  retryAt: number | null
  /** false when unsent operations would be lost with this page, because the browser refuses to store them */
  isStored: boolean
}

export interface Client extends AsyncDisposable {
  readonly session: Readable<Session>
  readonly connection: Readable<Connection>
  signUp(account: { email: string; password: string; name: string }, call?: Call): Promise<User>
  signIn(account: { email: string; password: string }, call?: Call): Promise<Me>
  /**
   * Ends the session and deletes everything that this client stored on this device, also unsent operations. Rejects with
   * NETWORK when the service cannot be reached: then the user is still signed in, and nothing is deleted.
   */
  signOut(call?: Call): Promise<void>
  readonly account: Account
  readonly projects: Live<readonly Project[]>
  createProject(name: string, call?: Call): Promise<Project>
  project(id: string): ProjectHandle
  /** Returns the checklist with this id. Every call returns the same object until it is disposed. */
  checklist(id: string): Checklist
  /** Calls `run` for every event of one type, from now on. Returns a function that unsubscribes. */
  on<Type extends keyof Events>(
    type: Type,
    run: (event: Events[Type]) => void,
    options?: Call & { project?: string }
  ): () => void
  /**
   * Opens a stream of its own, and yields its events, also `ready`, `heartbeat` and `reset`, until `signal` aborts or the
   * client is closed. `after` is the cursor to resume after. The stream is read as fast as the events are taken. Throws
   * SIGNED_OUT when the user signs out, and the error of the service when it refuses the stream.
   */
  events(options?: Call & { project?: string; after?: string }): AsyncIterable<FeedEvent>
  /** Closes all connections. The stored operations stay on this device. */
  close(): Promise<void>
}

/** An event of `GET /events`, with its type and its cursor. */
export type FeedEvent = {
  [Type in keyof Events]: Flat<Events[Type] & { type: Type; cursor: string }>
}[keyof Events]

/** An intersection as one object type. */
type Flat<T> = { [Key in keyof T]: T[Key] }

export interface Account {
  rename(name: string, call?: Call): Promise<Me>
  changePassword(current: string, next: string, call?: Call): Promise<void>
  /** Deletes the account. The client is signed out. */
  delete(password: string, call?: Call): Promise<void>
  sessions(call?: Call): Promise<SessionInfo[]>
  endSession(id: string, call?: Call): Promise<void>
  endOtherSessions(call?: Call): Promise<void>
}

export interface ProjectHandle {
  readonly members: Live<readonly Member[]>
  readonly checklists: Live<readonly ChecklistSummary[]>
  rename(name: string, call?: Call): Promise<Project>
  delete(call?: Call): Promise<void>
  createChecklist(title: string, call?: Call): Promise<ChecklistSummary>
  addMember(email: string, role: Role, call?: Call): Promise<Member>
  setRole(userId: string, role: Role, call?: Call): Promise<Member>
  removeMember(userId: string, call?: Call): Promise<void>
}

/** An item as it is shown: with the operations of this device that are not confirmed. */
export interface Line extends Item {
  /** saved: as the service has it. sending: on its way. waiting: stored on this device, to be sent later */
  mark: 'saved' | 'sending' | 'waiting'
  conflicts: readonly Conflict[]
  /** the other users who edit this item at the moment */
  people: readonly Person[]
}

export interface View extends Omit<ChecklistData, 'items' | 'conflicts'> {
  items: readonly Line[]
  /** all open conflicts, the oldest first; those of the title have no item */
  conflicts: readonly Conflict[]
  /** the other users who have the checklist open */
  people: readonly Person[]
  access: 'write' | 'read' | 'removed' | 'deleted'
}

export interface Person {
  userId: string
  name: string
  /** what the user edits; {} when nothing */
  state: PresenceState
  isMe: boolean
}

/** An operation that has been made. `settled` never rejects; it stays pending while the operation is unsent. */
export interface Sent {
  readonly opId: string
  readonly settled: Promise<Result>
}

export interface Status {
  state: ConnectionState
  sending: number
  waiting: number
  canUndo: boolean
  canRedo: boolean
}

/**
 * A checklist. Changes are shown at once, stored on this device, and sent when the service can be reached. They throw a
 * `ConcordError` with code INVALID, LIMIT, TOO_LONG, TOO_MUCH_UNSENT or READ_ONLY, and then nothing has changed.
 */
export interface Checklist extends Live<View>, Disposable {
  readonly id: string
  readonly status: Readable<Status>
  /** Adds one item, or several below one another. `after`: the item above; default the last one; null for the top. */
  add(
    text: string | readonly string[],
    options?: { after?: string | null; done?: boolean; dueOn?: string | null }
  ): Sent & { ids: string[] }
  /**
   * Changes values of an item. `from.text` is the text that the user edited, by default the text that the view shows:
   * pass it when an input keeps its text while the view changes, so that the words of others are not removed.
   */
  set(
    itemId: string,
    to: { text?: string; done?: boolean; dueOn?: string | null },
    from?: { text?: string }
  ): Sent
  move(itemId: string, after: string | null): Sent
  remove(itemId: string): Sent
  restore(itemId: string): Sent
  /** Changes the title. `from` is the title that the user edited, as with `set`. */
  rename(title: string, from?: string): Sent
  /** Deletes the checklist. Rejected with `changed_since` when another user changed it meanwhile, unless `force`. */
  delete(options?: { force?: boolean }): Sent
  undelete(): Sent
  restoreTo(rev: number): Sent
  resolve(conflictId: string, choice: Choice): Sent
  /** Undoes the newest change of this client as a new change. Returns null when others have changed it since. */
  undo(): Sent | null
  redo(): Sent | null
  /** Shows others what this user edits; null stops showing it. */
  show(state: PresenceState | null): void
  /** The operations of this device that the service has not confirmed, in order. */
  unsent(): readonly Operation[]
  /** Deletes the unsent operations of this checklist, for example after the user was removed and copied them. */
  discard(): Promise<void>
  /** Returns a page of past changes, the newest last. `before` is a revision. */
  history(options?: Call & { before?: number; limit?: number; itemId?: string }): Promise<History>
  on<Type extends keyof Notices>(
    type: Type,
    run: (notice: Notices[Type]) => void,
    call?: Call
  ): () => void
}

export type Choice = 'ours' | 'theirs' | 'both' | 'keep' | 'delete' | { custom: string | null }

export interface History {
  changes: Change[]
  /** whether there are older changes */
  more: boolean
}

/** The notices about a checklist, by type. */
export interface Notices {
  /** a committed change, also one's own */
  change: { change: Change; isMine: boolean }
  /** a conflict was opened */
  conflict: { conflict: Conflict; isMine: boolean }
  /** a text of this client was combined with the text of another user */
  merged: { itemId: string | null; mine: string; result: string; parts: Result['parts'] }
  /** an operation changed nothing, because the item had been deleted */
  dropped: { op: Operation; result: Result }
  /** the service refused an operation; it has been removed from the queue */
  rejected: { op: Operation; result: Result }
  /** everything that waited has been sent after an absence */
  caughtUp: {
    sent: number
    merged: number
    conflicts: number
    dropped: number
    rejected: number
    changesOfOthers: number
  }
}
