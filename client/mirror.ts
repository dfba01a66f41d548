import type { createAbsence } from './absence.ts'
import { applyChanges, type Confirmed, forget, fromSnapshot, toData } from './confirmed.ts'
import { ConcordError } from './errors.ts'
import type { ChangesPage, Link, ListHandler, OpenedList } from './link.ts'
import type { Outbox } from './outbox.ts'
import type { Writable } from './readable.ts'
import type { SessionManager } from './session.ts'
import type { Entry } from './storage.ts'
import type { Clock, Conflict, Notices, Peer, Project, Result, Role } from './types.ts'

/** time after a change before the copy on this device is stored; the first one is stored at once */
const saveMs = 1_000

export interface MirrorParts {
  link: Pick<Link, 'open' | 'onEvent'>
  outbox: Outbox
  session: Pick<SessionManager, 'request'>
  clock: Clock
  absence: ReturnType<typeof createAbsence>
  error: Writable<ConcordError | null>
  notify: <Type extends keyof Notices>(type: Type, notice: Notices[Type]) => void
  /** called when the state has changed; with `isUrgent` it is to be shown at once */
  onChange: (isUrgent?: boolean) => void
}

/**
 * Keeps the state of one checklist as the service has it, for one user: the copy on this device, then what the messages
 * of the service contain.
 */
export function createMirror(
  id: string,
  { link, outbox, session, clock, absence, error, notify, onChange }: MirrorParts
) {
  let confirmed: Confirmed | undefined
  /** Entries whose result has arrived before their change. They stay in the view until it arrives. */
  let held: { entry: Entry; rev: number }[] = []
  let isRemoved = false
  let isCaughtUp = false
  /** false when the role may have changed while the connection was lost */
  let isRoleKnown = false
  /** whether an event may have given the user access since the checklist was opened for the last time */
  let hasNewAccess = false
  const peers = new Map<string, Peer>()
  let opened: OpenedList | undefined
  let stopSave: (() => void) | undefined
  /** whether this device has a copy, perhaps an old one */
  let hasCopy = false
  let stopEvents: (() => void) | undefined
  /** another object after each start and stop, so that a start that waited can find out */
  let start = {}

  const handler: ListHandler = {
    snapshot(data) {
      if (confirmed?.epoch !== data.epoch) held = []
      else absence.countChanges(Math.max(0, data.rev - confirmed.rev))
      confirmed = fromSnapshot(data, confirmed)
      isRemoved = false
      isRoleKnown = true
      error.set(null)
      releaseHeld()
      changedRights()
    },

    changes,

    presence(updates, _others, isWhole) {
      if (isWhole) peers.clear()
      for (const peer of updates) {
        peers.delete(peer.connectionId)
        if (peer.state) peers.set(peer.connectionId, peer)
      }
      onChange()
    },

    revoked(reason, role) {
      if (reason !== 'role_changed') {
        lose(reason)
        // Events and messages arrive on two connections: the user may have been added again meanwhile.
        if (reason === 'removed' && hasNewAccess) tryAgain()
      } else if (role) setRole(role)
    },

    refused(code) {
      if (code === 'CHECKLIST_NOT_FOUND') lose('removed')
      else if (code === 'CHECKLIST_DELETED') lose('deleted')
      error.set(new ConcordError(code, 'the service refuses to open the checklist'))
      if (hasNewAccess) tryAgain()
    },

    caughtUp(isNow) {
      isCaughtUp = isNow
      if (!isNow) isRoleKnown = false
      else if (!isRoleKnown) void loadRole()
      onChange(!isNow)
    }
  }

  return {
    confirmed: () => confirmed,
    isRemoved: () => isRemoved,
    isCaughtUp: () => isCaughtUp,
    peers,
    /** Returns the operations that are not in the confirmed state yet, in order. */
    entries(): readonly Entry[] {
      const entries = outbox.entries(id)
      return held.length > 0 ? [...held.map(({ entry }) => entry), ...entries] : entries
    },
    show: (state: Parameters<OpenedList['show']>[0]) => opened?.show(state),

    async open() {
      if (opened || outbox.userId.get() === null) return
      const mine = {}
      start = mine
      error.set(null)
      if (!confirmed) {
        const copy = await outbox.copy(id)
        if (mine !== start) return
        if (copy) {
          confirmed = fromSnapshot(copy)
          hasCopy = true
          if (outbox.entries(id).length > 0) absence.wait()
          onChange(true)
        }
      }
      hasNewAccess = false
      opened = link.open(id, handler, confirmed && { rev: confirmed.rev, epoch: confirmed.epoch })
      // The user may be added again, and a deleted checklist may be restored.
      stopEvents = link.onEvent(event => {
        const { type } = event
        const isMember = type === 'member.added' || type === 'member.updated'
        if (
          (isMember && event.userId === outbox.userId.get()) ||
          (type === 'checklist.restored' && event.checklistId === id) ||
          type === 'ready' ||
          type === 'reset'
        ) {
          if (isRemoved || confirmed?.isDeleted || error.get()) tryAgain()
          else hasNewAccess = true
        }
      })
    },

    /** Stores the copy on this device when it has changed. */
    save,

    close() {
      start = {}
      stopSave?.()
      stopSave = undefined
      stopEvents?.()
      stopEvents = undefined
      opened?.close()
      opened = undefined
      isCaughtUp = false
      isRoleKnown = false
      peers.clear()
    },

    /** Keeps an entry until its change arrives. */
    receiveResult(entry: Entry, { rev = 0 }: Result) {
      if (confirmed && rev > confirmed.rev) held.push({ entry, rev })
      else if (confirmed) confirmed = forget(confirmed, entry.op.opId)
    }
  }

  function changes(page: ChangesPage) {
    if (!confirmed) return
    const { rev, isDeleted } = confirmed
    const next = applyChanges(confirmed, page.changes)
    if (next === 'gap') return opened?.resync()
    confirmed = next
    const me = outbox.userId.get()
    for (const change of page.changes) {
      if (change.rev <= rev) continue
      const isMine = change.actorId === me
      if (!isMine) absence.countChanges(1)
      notify('change', { change, isMine })
      if (change.kind === 'conflict.opened')
        notify('conflict', { conflict: change.after as Conflict, isMine })
    }
    releaseHeld()
    if (isDeleted !== confirmed.isDeleted) changedRights()
    else changed()
  }

  function setRole(role: Role) {
    isRoleKnown = true
    if (!confirmed || confirmed.role === role) return
    confirmed = { ...confirmed, role }
    changedRights()
  }

  /** Requests the role, because the changes after a revision do not contain it. */
  async function loadRole() {
    const mine = start
    if (!confirmed) return
    isRoleKnown = true
    try {
      const { role } = await session.request<Project>('GET', `/projects/${confirmed.projectId}`)
      if (mine === start) setRole(role)
    } catch {
      isRoleKnown = false
    }
  }

  /** Removes the entries whose change has arrived. */
  function releaseHeld() {
    for (const { entry, rev } of held)
      if (confirmed && rev <= confirmed.rev) confirmed = forget(confirmed, entry.op.opId)
    held = held.filter(({ rev }) => confirmed && rev > confirmed.rev)
  }

  function lose(reason: 'removed' | 'deleted') {
    if (reason === 'removed') isRemoved = true
    else if (confirmed) confirmed = { ...confirmed, isDeleted: true }
    changedRights()
  }

  function tryAgain() {
    hasNewAccess = false
    opened?.resync()
  }

  function changedRights() {
    if (isRemoved || confirmed?.role === 'viewer' || confirmed?.isDeleted) outbox.pause(id)
    else outbox.resume(id)
    changed()
  }

  function changed() {
    // Without a copy, a reload without network would show nothing, not even the operations of this device.
    stopSave ??= clock.setTimeout(save, hasCopy ? saveMs : 0)
    onChange()
  }

  function save() {
    if (!stopSave) return
    stopSave()
    stopSave = undefined
    if (!confirmed) return
    hasCopy = !isRemoved || outbox.entries(id).length > 0
    if (!hasCopy) void outbox.removeCopy(id)
    else void outbox.saveCopy(toData(confirmed))
  }
}
