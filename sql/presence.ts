import type { Peer } from '../schemas/presence.ts'
import type { Sql } from './executor.ts'

/** Somebody on a checklist, wherever they are connected. */
export type Present = Peer & { checklistId: string }

const STALE_SECONDS = 20

/**
 * Tells the other nodes what changed here and reads who is on these checklists elsewhere, in one statement.
 * A peer of `changed` whose state is null has left.
 */
export function exchangePresence(
  sql: Sql,
  nodeId: string,
  changed: Present[],
  checklistIds: string[]
): Promise<Present[]> {
  const left = changed.filter(({ state }) => state === null)
  const here = changed.filter(({ state }) => state !== null)
  return sql<Present[]>`
    with gone as (
      delete from presence
      using unnest(
        ${left.map(({ checklistId }) => checklistId)}::uuid[],
        ${left.map(({ connectionId }) => connectionId)}::uuid[]
      ) as peer (checklist_id, connection_id)
      where presence.checklist_id = peer.checklist_id
      and presence.connection_id = peer.connection_id
    ),
    put as (
      insert into presence (checklist_id, connection_id, node_id, user_id, name, state)
      select "checklistId", "connectionId", ${nodeId}, "userId", name, state
      from jsonb_to_recordset(${sql.json(here as never)})
        as peer ("checklistId" uuid, "connectionId" uuid, "userId" uuid, name text, state jsonb)
      on conflict (checklist_id, connection_id) do update
      set state = excluded.state, seen_at = excluded.seen_at
    )
    select
      checklist_id as "checklistId", connection_id as "connectionId", user_id as "userId", name, state
    from presence
    where checklist_id = any (${checklistIds}::uuid[])
    and node_id <> ${nodeId}
    and seen_at > now() - make_interval(secs => ${STALE_SECONDS})`
}

/** Says that this node is alive, and clears away what a crashed one left behind. */
export async function refreshPresence(sql: Sql, nodeId: string): Promise<void> {
  await sql`update presence set seen_at = now() where node_id = ${nodeId}`
  await sql`delete from presence where seen_at < now() - make_interval(secs => ${STALE_SECONDS * 3})`
}

/** Takes everybody of this node away. */
export async function clearPresence(sql: Sql, nodeId: string): Promise<void> {
  await sql`delete from presence where node_id = ${nodeId}`
}
