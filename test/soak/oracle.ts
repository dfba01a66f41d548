import { isDeepStrictEqual } from 'node:util'
import type { LogEvent } from '../../lib/event.ts'
import { memoize } from '../../lib/memoize.ts'
import type { Sql } from '../../sql/executor.ts'
import { readAfter } from '../../sql/log.ts'
import type { SocketFollower } from './socket-follower.ts'
import { digestOf, type StreamFollower } from './stream-follower.ts'

/** A time in which somebody was a member, by positions of the log; both ends are told to them. */
interface Stay {
  from: number
  to: number
}

/** Everything that was ever committed, in order. */
export async function readLog(sql: Sql): Promise<LogEvent[]> {
  const log: LogEvent[] = []
  for (;;) {
    const most = { rows: 5000, bytes: 64 << 20 }
    const { events, isLast } = await readAfter(sql, log.at(-1)?.pos ?? 0, most)
    log.push(...events)
    if (isLast) return log
  }
}

/** What is wrong with the log itself. */
export async function judgeLog(sql: Sql, log: LogEvent[]): Promise<string[]> {
  const wrong: string[] = []
  const revs = new Map<string, number>()
  for (const { checklistId, rev, pos } of log) {
    if (checklistId === null) continue
    if (rev !== (revs.get(checklistId) ?? 0) + 1) wrong.push(`revision ${rev} at ${pos}`)
    revs.set(checklistId, rev as number)
  }
  const counters = await sql<{ id: string; rev: number }[]>`
    select checklist_id as id, rev
    from checklist_revs`
  for (const { id, rev } of counters) {
    if (revs.get(id) !== rev)
      wrong.push(`the counter of ${id} says ${rev}, the log ${revs.get(id)}`)
  }
  const [pending] = await sql<[{ count: number }]>`select count(*) from pending_events`
  if (Number(pending.count) > 0) wrong.push(`${pending.count} events were noted and never told`)
  return wrong
}

/**
 * What is wrong with what a stream was told. Nothing may be lost of the memberships that lasted, nothing may
 * come of times in which they were no member, nothing twice and nothing out of order.
 */
export function judgeStream(
  log: LogEvent[],
  { person, heard, faults, start, connections }: StreamFollower
): string[] {
  const wrong = [...faults]
  if (start === undefined) return [...wrong, 'never connected']
  const stays = staysOf(log, person.id)
  const isWithin = ({ projectId, pos }: LogEvent) =>
    (stays.get(projectId ?? '') ?? []).some(({ from, to }) => from <= pos && pos <= to)
  const lasts = ({ projectId, pos }: LogEvent) =>
    (stays.get(projectId ?? '') ?? []).some(
      ({ from, to }) => from <= pos && to === Number.POSITIVE_INFINITY
    )
  const isMine = ({ userId, projectId }: LogEvent) => userId === person.id && projectId !== null
  const after = log.filter(({ pos }) => pos > start)
  const allowed = new Map(
    after.filter(one => isWithin(one) || isMine(one)).map(one => [one.pos, one])
  )
  // Who never lost the connection saw everything while it was theirs; who did, what lasted.
  const owed = after.filter(one =>
    connections === 1 ? isWithin(one) : lasts(one) || (isMine(one) && one.kind === 'member.removed')
  )

  const seen = new Set<number>()
  let last = start
  for (const { pos, digest } of heard) {
    const event = allowed.get(pos)
    if (seen.has(pos)) wrong.push(`an event at ${pos} came twice`)
    else if (pos <= last) wrong.push(`an event at ${pos} came after ${last}`)
    else if (!event) wrong.push(`an event at ${pos} is not for them`)
    else if (digest !== committed(event)) wrong.push(`${event.kind} at ${pos} is not as committed`)
    seen.add(pos)
    last = pos
  }
  for (const { pos, kind } of owed) {
    if (!seen.has(pos)) wrong.push(`${kind} at ${pos} never came`)
  }
  return wrong
}

const committed = memoize(({ kind: type, rev, opId, after }: LogEvent) =>
  digestOf({ type, rev, opId, after: JSON.parse(after ?? 'null') })
)

function staysOf(log: LogEvent[], userId: string): Map<string, Stay[]> {
  const stays = new Map<string, Stay[]>()
  for (const { kind, pos, projectId, userId: whose } of log) {
    if (whose !== userId || projectId === null) continue
    const mine = stays.get(projectId) ?? []
    stays.set(projectId, mine)
    if (kind === 'member.added') mine.push({ from: pos, to: Number.POSITIVE_INFINITY })
    const stay = mine.at(-1)
    if (kind === 'member.removed' && stay) stay.to = pos
  }
  return stays
}

/** What is wrong with what a socket was told, or with what became of what it sent. */
export async function judgeSocket(sql: Sql, log: LogEvent[], follower: SocketFollower) {
  const { views, faults, acknowledged, unanswered } = follower
  const wrong = [...faults]
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
    if (list?.rev !== view.rev) wrong.push(`revision ${view.rev} of ${list?.rev}`)
    else if (list?.title !== view.title) wrong.push(`the title ${view.title} is ${list?.title}`)
    else if (!isDeepStrictEqual(new Map(view.items), rows)) wrong.push(`not the items of ${listId}`)
  }
  if (unanswered.size > 0) wrong.push(`${unanswered.size} operations were never answered`)
  const told = Map.groupBy(log, ({ opId }) => opId)
  for (const { opId, outcome, rev } of acknowledged.values()) {
    const events = told.get(opId) ?? []
    if (rev !== undefined && !events.some(event => event.rev === rev)) {
      wrong.push(`an acknowledged operation is not in the log: ${outcome} ${rev}`)
    }
    const adds = events.filter(({ kind }) => kind === 'item.added')
    if (adds.length > 1) wrong.push(`one operation added ${adds.length} items`)
  }
  return wrong
}
