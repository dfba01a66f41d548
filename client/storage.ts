import type { ChecklistData, Me, Operation, Project } from './types.ts'

/** An operation of this device that the service has not confirmed. */
export interface Entry {
  /** the order of the operations of one user on this device, over all checklists */
  seq: number
  checklistId: string
  op: Operation
  /** how often the operation was replaced by a combined one */
  version: number
  /** true when it may have been sent: from then on it never changes */
  isSent: boolean
}

/** Where a client stores what must survive a reload. Access tokens are never stored. */
export interface Storage {
  /** true when the other tabs of a browser do not have what is stored here */
  readonly isPrivate?: boolean
  /** Returns the user who was signed in last on this device, or null. */
  lastUser(): Promise<Me | null>
  setLastUser(user: Me | null): Promise<void>
  /** Opens the store of a user, and creates it when there is none. */
  open(userId: string): Promise<Store>
  /** Deletes the store of a user. */
  delete(userId: string): Promise<void>
  /** Deletes the stores of all other users. */
  deleteOthers(userId: string): Promise<void>
}

/** The data of one user on this device. Every function is one transaction, also between tabs. */
export interface Store {
  /** Returns the entries of all checklists in the order of `seq`. */
  entries(): Promise<Entry[]>
  /**
   * Stores an operation after all others. With `combine`, if that entry still contains the operation `opId` and is not
   * sent, replaces its operation by `into` instead, or deletes the entry when `into` is null.
   */
  append(
    checklistId: string,
    op: Operation,
    combine?: Combination
  ): Promise<{ entry: Entry } | { removed: number }>
  /** Marks entries as sent. Returns them as they are stored now, in order, without those that are gone. */
  markSent(seqs: number[]): Promise<Entry[]>
  remove(seqs: number[]): Promise<void>
  checklist(id: string): Promise<ChecklistData | undefined>
  saveChecklist(checklist: ChecklistData): Promise<void>
  removeChecklist(id: string): Promise<void>
  /** Returns the projects of the user as they were stored last. */
  projects(): Promise<readonly Project[] | undefined>
  saveProjects(projects: readonly Project[]): Promise<void>
  close(): void
}

export interface Combination {
  seq: number
  opId: string
  into: Operation | null
}

/**
 * Returns a stored entry as a combination changes it, and null when it is deleted. Returns undefined when the entry is
 * gone, was sent, or contains another operation.
 */
export function combineEntry(stored?: Entry, combine?: Combination): Entry | null | undefined {
  if (!combine || !stored || stored.isSent || stored.op.opId !== combine.opId) return
  return combine.into && { ...stored, op: combine.into, version: stored.version + 1 }
}

/** Returns how many of the stored checklists are deleted, the oldest first, so that 50 remain. */
export const oldestToDelete = (stored: number) => Math.max(0, stored - 50)
