import { isDeepStrictEqual } from 'node:util'
import type { Sql } from '../../sql/executor.ts'
import type { SocketFollower } from './socket-follower.ts'
import { digestOf, type StreamFollower } from './stream-follower.ts'

// Checks what followers received against the rows of the database. It reads the log with statements of its own and
// shares no code with the service that parses, filters or serialises events.

/** One row of the log, with the digest of its content. */
interface LogRow {
  pos: number
  kind: string
  projectId: string | null
  checklistId: string | null
  rev: number | null
  userId: string | null
  opId: string | null
  digest: string
}

/**
 * A membership, from the position of the event that began it to that of the event that ended it. The member receives
 * both events.
 */
interface Membership {
  from: number
  to: number
}

const limits = { rows: 5000 }

/** Returns all rows of the log in order. */
export async function readLog(sql: Sql): Promise<LogRow[]> {
  const log: LogRow[] = []
  for (;;) {
    const rows = await sql<(Omit<LogRow, 'digest'> & { after: string | null })[]>`
      select
        pos, kind, project_id as "projectId", checklist_id as "checklistId", rev, user_id as "userId",
        op_id as "opId", after::text
      from events
      where pos > ${log.at(-1)?.pos ?? 0}
      order by pos
      limit ${limits.rows}`
    for (const { after, ...row } of rows) {
      const { kind: type, rev, opId } = row
      log.push({
        ...row,
        digest: digestOf({ type, rev, opId, after: JSON.parse(after ?? 'null') })
      })
    }
    if (rows.length < limits.rows) return log
  }
}

/** Returns the violations of the log itself: revision gaps, wrong counters, unpublished events. */
export async function checkLog(sql: Sql, log: LogRow[]): Promise<string[]> {
  const violations: string[] = []
  const revs = new Map<string, number>()
  for (const { checklistId, rev, pos } of log) {
    if (checklistId === null) continue
    if (rev !== (revs.get(checklistId) ?? 0) + 1) violations.push(`revision ${rev} at ${pos}`)
    revs.set(checklistId, rev as number)
  }
  const counters = await sql<{ id: string; rev: number }[]>`
    select checklist_id as id, rev
    from checklist_revs`
  for (const { id, rev } of counters) {
    if (revs.get(id) !== rev)
      violations.push(`the counter of ${id} is ${rev}, its last revision ${revs.get(id)}`)
  }
  const [pending] = await sql<[{ count: number }]>`select count(*) from pending_events`
  if (Number(pending.count) > 0) violations.push(`${pending.count} events are still pending`)
  return violations
}

/**
 * Returns the violations of a stream: events that are missing, doubled, out of order, changed, or outside the
 * memberships of its user.
 */
export function checkStream(
  log: LogRow[],
  { account, received, violations: ofProtocol, start, connections }: StreamFollower
): string[] {
  const violations = [...ofProtocol]
  if (start === undefined) return [...violations, 'a stream never connected']
  const memberships = membershipsOf(log, account.id)
  const isWithin = ({ projectId, pos }: LogRow) =>
    (memberships.get(projectId ?? '') ?? []).some(({ from, to }) => from <= pos && pos <= to)
  const isCurrent = ({ projectId, pos }: LogRow) =>
    (memberships.get(projectId ?? '') ?? []).some(
      ({ from, to }) => from <= pos && to === Number.POSITIVE_INFINITY
    )
  const isAboutUser = ({ userId, projectId }: LogRow) => userId === account.id && projectId !== null
  const after = log.filter(({ pos }) => pos > start)
  const allowed = new Map(
    after.filter(row => isWithin(row) || isAboutUser(row)).map(row => [row.pos, row])
  )
  // A stream that never reconnected must have received every event of every membership. A resumed stream must have
  // received the events of memberships that last to the end, and of other memberships only the removal.
  const required = after.filter(row =>
    connections === 1
      ? isWithin(row)
      : isCurrent(row) || (isAboutUser(row) && row.kind === 'member.removed')
  )

  const seen = new Set<number>()
  let last = start
  for (const { pos, digest } of received) {
    const row = allowed.get(pos)
    if (seen.has(pos)) violations.push(`the event at ${pos} arrived twice`)
    else if (pos <= last) violations.push(`the event at ${pos} arrived after ${last}`)
    else if (!row) violations.push(`the event at ${pos} is not allowed`)
    else if (digest !== row.digest) violations.push(`${row.kind} at ${pos} differs from the log`)
    seen.add(pos)
    last = pos
  }
  for (const { pos, kind } of required) {
    if (!seen.has(pos)) violations.push(`${kind} at ${pos} is missing`)
  }
  return violations
}

function membershipsOf(log: LogRow[], accountId: string): Map<string, Membership[]> {
  const byProject = new Map<string, Membership[]>()
  for (const { kind, pos, projectId, userId } of log) {
    if (userId !== accountId || projectId === null) continue
    const memberships = byProject.get(projectId) ?? []
    byProject.set(projectId, memberships)
    if (kind === 'member.added') memberships.push({ from: pos, to: Number.POSITIVE_INFINITY })
    const membership = memberships.at(-1)
    if (kind === 'member.removed' && membership) membership.to = pos
  }
  return byProject
}

/** Returns the violations of a socket: checklists that differ from their rows, lost or doubled operations. */
export async function checkSocket(sql: Sql, log: LogRow[], follower: SocketFollower) {
  const { views, violations: ofProtocol, acknowledged, pending } = follower
  const violations = [...ofProtocol]
  for (const [listId, view] of views) {
    const items = await sql`
      select id, text, done, due_on::text as "dueOn", position
      from checklist_items
      where checklist_id = ${listId}`
    const rows = new Map(items.map(({ ...item }) => [item.id, item]))
    const [list] = await sql`
      select title, rev
      from checklists
      join checklist_revs on checklist_id = id
      where id = ${listId}`
    if (list?.rev !== view.rev) violations.push(`revision ${view.rev} instead of ${list?.rev}`)
    else if (list?.title !== view.title)
      violations.push(`title ${view.title} instead of ${list?.title}`)
    else if (!isDeepStrictEqual(new Map(view.items), rows))
      violations.push(`the items of ${listId} differ from their rows`)
  }
  if (pending.size > 0) violations.push(`${pending.size} operations were never acknowledged`)
  const rowsByOperation = Map.groupBy(log, ({ opId }) => opId)
  for (const { opId, outcome, rev } of acknowledged.values()) {
    const rows = rowsByOperation.get(opId) ?? []
    if (rev !== undefined && !rows.some(row => row.rev === rev)) {
      violations.push(`an acknowledged operation is not in the log: ${outcome} ${rev}`)
    }
    const adds = rows.filter(({ kind }) => kind === 'item.added')
    if (adds.length > 1) violations.push(`one operation added ${adds.length} items`)
  }
  return violations
}
