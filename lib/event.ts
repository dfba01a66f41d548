import type { Role } from '../schemas/project.ts'
import { formatCursor } from './cursor.ts'
import { memoize } from './memoize.ts'

/*
 * The event: its type, who may see it, its topics, its payloads and its forms on the wire. A new field touches the table
 * `events`, the function `number_events`, the columns of sql/log.ts and this file.
 */

/** One committed change. `before` and `after` are the JSON text of PostgreSQL, which most readers pass on unparsed. */
export interface LogEvent {
  pos: number
  kind: string
  projectId: string | null
  checklistId: string | null
  rev: number | null
  itemId: string | null
  userId: string | null
  before: string | null
  after: string | null
  actorId: string | null
  opId: string | null
  source: string
  at: Date
  /** Its size in memory, roughly. */
  bytes: number
}

/** The fields that decide who may see an event. */
export type Visibility = Pick<LogEvent, 'pos' | 'kind' | 'projectId' | 'userId'>

/**
 * Returns whether a user may see an event of the past: of each project whose member they are now, the events since they
 * joined and those about themselves; of a project that they have left, only their own removal. `sincePos` returns the
 * position at which a membership began, undefined for no member. `readVisibleAfter` in sql/log.ts is the same rule in SQL.
 */
export function isVisible(
  event: Visibility,
  userId: string,
  sincePos: (projectId: string) => number | undefined
): boolean {
  if (event.projectId === null) return false
  const since = sincePos(event.projectId)
  if (since !== undefined && event.pos > since) return true
  return event.userId === userId && (since !== undefined || event.kind === 'member.removed')
}

/** Returns the topics whose subscribers receive an event as soon as it is committed. */
export const topicsOf = memoize((event: LogEvent): string[] => {
  const { kind, projectId, checklistId, userId } = event
  const topics = []
  if (kind === 'session.ended')
    topics.push('sessions', `session:${endedSessionOf(event).sessionId}`)
  else if (userId) topics.push(`user:${userId}`)
  if (projectId) topics.push(`project:${projectId}`)
  if (checklistId) topics.push(`checklist:${checklistId}`)
  return topics
})

/** Returns the payload of a `session.ended`. */
export function endedSessionOf({ after }: LogEvent): { sessionId: string; reason: string } {
  return JSON.parse(after ?? '{}')
}

/** Returns the payload of a `member.*`: the membership after the change, or before it when the member was removed. */
export function membershipOf({ before, after }: Pick<LogEvent, 'before' | 'after'>): {
  role: Role
  /** Without a name when the project itself was deleted. */
  project: { id: string; name?: string }
} {
  return JSON.parse(after ?? before ?? '{}')
}

/** Returns an event as a block of `GET /events`. */
export function eventBlock(event: LogEvent, epoch: string): Buffer {
  return sseBlock(event.kind, formatCursor({ epoch, pos: event.pos }), feedJson(event))
}

/** Returns the bytes of one Server-Sent Event. `data` is JSON, which contains no line break. */
export function sseBlock(type: string, id: string | null, data: string): Buffer {
  return Buffer.from(`event: ${type}\n${id === null ? '' : `id: ${id}\n`}data: ${data}\n\n`)
}

/** Returns the `data` of an event on `GET /events`. */
export function feedJson(event: Omit<LogEvent, 'bytes'>): string {
  const { kind: type, projectId, checklistId, rev, itemId, userId, before, after } = event
  const { actorId, opId, source, at } = event
  if (type.startsWith('member.')) {
    const { role, project } = membershipOf(event)
    return JSON.stringify({ type, projectId, userId, role, project, actorId, opId, source, at })
  }
  if (checklistId === null) {
    return withJson(
      { type, projectId, actorId, opId, source, at },
      { before, after, project: after ?? before }
    )
  }
  const item = itemId === null ? {} : { itemId }
  return withJson(
    { type, projectId, checklistId, rev, ...item, actorId, opId, source, at },
    { before, after }
  )
}

/** Returns the message `changes` of one change, as a frame of `GET /live`. All subscribers of a checklist share the bytes. */
export const changesFrame = memoize((event: LogEvent): Buffer => {
  const { checklistId, rev } = event
  const head = JSON.stringify({ type: 'changes', checklistId, from: rev, to: rev, head: rev })
  return Buffer.from(`${head.slice(0, -1)},"changes":[${changeJson(event)}]}`)
})

/** Returns an event as a `Change` of its checklist, as `GET /checklists/:id/changes` and `changes` on a socket contain it. */
export function changeJson(event: Omit<LogEvent, 'bytes'>): string {
  const { rev, kind, itemId, before, after, actorId, opId, source, at } = event
  const item = itemId === null ? {} : { itemId }
  return withJson({ rev, kind, ...item, actorId, opId, source, at }, { before, after })
}

// The JSON of PostgreSQL is inserted as it is: parsing and serialising it again would cost more than the rest.
function withJson(fields: object, texts: Record<string, string | null>): string {
  const rest = Object.entries(texts)
    .filter(([, json]) => json !== null)
    .map(([name, json]) => `,${JSON.stringify(name)}:${json}`)
  return `${JSON.stringify(fields).slice(0, -1)}${rest.join('')}}`
}
