import { isVisible, type Visibility } from './event.ts'

/** The contents of the log and the tables about a user and the project of an event. */
export interface MembershipFacts {
  /** events up to this position may have been deleted */
  floor: number
  /** the present membership */
  membership?: { role: string; sincePos: number }
  /** the `member.*` events of the user in the project that are stored, in order */
  memberEvents: { pos: number; kind: string; role: string; at: Date }[]
  /** the deletion of the project */
  deletion?: { pos: number; at: Date }
}

export interface Entitlement {
  /** whether an open stream of the user had to receive the event when it was committed; undefined when not known */
  live?: boolean
  reason: string
  /** whether a stream that resumes now, from a cursor before the event, has to receive it */
  resumed: boolean
  resumedReason: string
}

/** Returns whether a user had to receive an event, at its commit and by a resumed stream, and why. */
export function entitlementOf(
  event: Visibility,
  userId: string,
  facts: MembershipFacts
): Entitlement {
  return { ...liveEntitlement(event, userId, facts), ...resumedEntitlement(event, userId, facts) }
}

function liveEntitlement(
  event: Visibility,
  userId: string,
  { floor, membership, memberEvents }: MembershipFacts
): Pick<Entitlement, 'live' | 'reason'> {
  const { pos, kind, projectId } = event
  if (kind === 'session.ended')
    return {
      live: false,
      reason: 'ends of sessions are sent to no client: nodes close its streams'
    }
  if (projectId === null)
    return { live: false, reason: 'the event belongs to no project, so it is sent to no client' }
  if (event.userId === userId) return { live: true, reason: 'the event is about this user' }
  if (membership && membership.sincePos < pos) {
    const { role, sincePos } = membership
    return { live: true, reason: `a member since position ${sincePos}, now as ${role}` }
  }
  if (pos <= floor) {
    const reason = `events up to position ${floor} may have been deleted, so past memberships are not known`
    return { reason }
  }
  // All `member.*` events above the floor are stored, so each of them decides for the positions beside it.
  const before = memberEvents.findLast(member => member.pos < pos)
  const after = memberEvents.find(member => member.pos > pos)
  if (before?.kind === 'member.removed') {
    const again = after ? `; added again ${atPosition(after)}` : ''
    return {
      live: false,
      reason: `the user left the project before, ${atPosition(before)}${again}`
    }
  }
  if (before)
    return { live: true, reason: `a member then, as ${before.role} ${atPosition(before)}` }
  if (after?.kind === 'member.added')
    return { live: false, reason: `the user joined the project later, ${atPosition(after)}` }
  if (after) return { live: true, reason: `a member until ${atPosition(after)} or longer` }
  const since = floor > 0 ? ` since position ${floor}, where the log begins` : ''
  return { live: false, reason: `the user was not a member of the project${since}` }
}

function resumedEntitlement(
  event: Visibility,
  userId: string,
  { floor, membership, deletion }: MembershipFacts
): Pick<Entitlement, 'resumed' | 'resumedReason'> {
  if (event.pos <= floor)
    return { resumed: false, resumedReason: 'the event is too old: the client receives `reset`' }
  const resumed = isVisible(event, userId, () => membership?.sincePos)
  if (resumed)
    return { resumed, resumedReason: 'the event is above the floor and visible to the user' }
  if (deletion && deletion.pos >= event.pos)
    return { resumed, resumedReason: `the project was deleted ${atPosition(deletion)}` }
  if (membership)
    return {
      resumed,
      resumedReason: `the present membership began at position ${membership.sincePos}`
    }
  return { resumed, resumedReason: 'the user is not a member of the project now' }
}

function atPosition({ pos, at }: { pos: number; at: Date }): string {
  return `at position ${pos} (${at.toISOString()})`
}
