-- Who has which checklist open on which node. Written in batches, read once a second by every node: the
-- cost is per node, not per keystroke. A NOTIFY a keystroke would take the lock that every COMMIT needs.
create unlogged table presence (
  checklist_id uuid not null,
  connection_id uuid not null,
  node_id uuid not null,
  user_id uuid not null,
  name text not null,
  state jsonb not null,
  -- refreshed by its node: what a crashed node leaves behind goes stale
  seen_at timestamptz not null default now(),
  primary key (checklist_id, connection_id)
);

create index presence_node on presence (node_id);
