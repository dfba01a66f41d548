import type { Sql } from './executor.ts'

/** The presence of one checklist on one node: the sockets of the node that have the checklist open. */
export interface NodePresence {
  checklistId: string
  count: number
  /** JSON array of `[joinedAt, Peer]` for the sockets that joined first */
  peers: string
}

const STALE_SECONDS = 20

/**
 * Stores the `changed` presence of this node, deletes its presence of the checklists in `left`, and returns the
 * presence of `checklistIds` on the other nodes, in one statement.
 */
export function exchangePresence(
  sql: Sql,
  nodeId: string,
  changed: NodePresence[],
  left: string[],
  checklistIds: string[]
): Promise<(NodePresence & { nodeId: string })[]> {
  return sql<(NodePresence & { nodeId: string })[]>`
    with deleted as (
      delete from presence
      where node_id = ${nodeId}
      and checklist_id = any (${left}::uuid[])
    ),
    stored as (
      insert into presence (checklist_id, node_id, count, peers)
      select checklist_id, ${nodeId}, count, peers
      from unnest(
        ${changed.map(({ checklistId }) => checklistId)}::uuid[],
        ${changed.map(({ count }) => count)}::integer[],
        ${changed.map(({ peers }) => peers)}::text[]
      ) as list (checklist_id, count, peers)
      on conflict (checklist_id, node_id) do update
      set count = excluded.count, peers = excluded.peers, seen_at = excluded.seen_at
    )
    select checklist_id as "checklistId", node_id as "nodeId", count, peers
    from presence
    where checklist_id = any (${checklistIds}::uuid[])
    and node_id <> ${nodeId}
    and seen_at > now() - make_interval(secs => ${STALE_SECONDS})`
}

/** Returns the checklists for which this node still has a row: a crash of the database empties this unlogged table. */
export async function refreshPresence(sql: Sql, nodeId: string): Promise<string[]> {
  const rows = await sql<{ checklistId: string }[]>`
    update presence set seen_at = now()
    where node_id = ${nodeId}
    returning checklist_id as "checklistId"`
  await sql`delete from presence where seen_at < now() - make_interval(secs => ${STALE_SECONDS * 3})`
  return rows.map(({ checklistId }) => checklistId)
}

export async function deletePresence(sql: Sql, nodeId: string): Promise<void> {
  await sql`delete from presence where node_id = ${nodeId}`
}
