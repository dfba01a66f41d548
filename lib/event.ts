import type { Role } from '../schemas/project.ts'
import { formatCursor } from './cursor.ts'
import { memoize } from './memoize.ts'
import { textFrame } from './text-frame.ts'

// A new field also needs a change of the table `events`, of `number_events` and of sql/event-page.ts.

/** One committed change. `before` and `after` are JSON text, which most code sends without parsing it. */
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
  /** the trace of the request that wrote the event; see lib/trace-context.ts */
  trace?: string | null
  /** the approximate size of the event in memory */
  bytes: number
}

export type Visibility = Pick<LogEvent, 'pos' | 'kind' | 'projectId' | 'userId'>

/**
 * Returns whether a user may see a past event. A member sees the events after the position at which they joined
 * (`sincePos`), and all events about themselves. A former member sees only the event of their own removal.
 * `readVisibleAfter` in sql/log.ts implements the same rule in SQL.
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

/** Returns the topics of an event. Their subscribers receive the event as soon as it is committed. */
export const topicsOf = memoize((event: LogEvent): string[] => {
  const { kind, projectId, checklistId, userId } = event
  const topics = []
  if (kind === 'session.ended')
    topics.push('sessions', `session:${endedSessionOf(event).sessionId}`)
  else if (kind === 'user.renamed') topics.push('users')
  else if (userId) topics.push(`user:${userId}`)
  if (projectId) topics.push(`project:${projectId}`)
  if (checklistId) topics.push(`checklist:${checklistId}`)
  return topics
})

/** Returns whether an event may change who receives the next events: then it is the last one of its batch. */
export function changesSubscriptions({ kind }: LogEvent): boolean {
  return kind.startsWith('member.') || kind === 'checklist.deleted' || kind === 'session.ended'
}

export function endedSessionOf({ after }: LogEvent): { sessionId: string; reason: string } {
  return JSON.parse(after ?? '{}')
}

/** Returns the membership after a `member.*` event, or before it for a removal. */
export function membershipOf({ before, after }: Pick<LogEvent, 'before' | 'after'>): {
  role: Role
  /** `name` is missing when the project itself was deleted. */
  project: { id: string; name?: string }
} {
  return JSON.parse(after ?? before ?? '{}')
}

/** Returns an event in the format of `GET /events`. */
export function eventBlock(event: LogEvent, epoch: string): Buffer {
  return sseBlock(event.kind, formatCursor({ epoch, pos: event.pos }), feedJson(event))
}

/** Returns the bytes of one Server-Sent Event. `data` is JSON, so it contains no line break. */
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

/**
 * Returns frames of `GET /live`: for each event, a `changes` message with this one event. All subscribers of a checklist
 * send the same bytes.
 */
export const changesFrames = memoize(
  (events: readonly LogEvent[]): Buffer => Buffer.concat(events.map(changesFrame))
)

const changesFrame = memoize((event: LogEvent): Buffer => {
  const { checklistId, rev } = event
  const head = JSON.stringify({ type: 'changes', checklistId, from: rev, to: rev, head: rev })
  return textFrame(Buffer.from(`${head.slice(0, -1)},"changes":[${changeJson(event)}]}`))
})

/** Returns the JSON of an event as a `Change`, for HTTP and for sockets. */
export function changeJson(event: Omit<LogEvent, 'bytes'>): string {
  const { rev, kind, itemId, before, after, actorId, opId, source, at } = event
  const item = itemId === null ? {} : { itemId }
  return withJson({ rev, kind, ...item, actorId, opId, source, at }, { before, after })
}

// Inserts the JSON texts as they are: to parse and serialise them would cost more than all the rest.
function withJson(fields: object, texts: Record<string, string | null>): string {
  const rest = Object.entries(texts)
    .filter(([, json]) => json !== null)
    .map(([name, json]) => `,${JSON.stringify(name)}:${json}`)
  return `${JSON.stringify(fields).slice(0, -1)}${rest.join('')}}`
}
