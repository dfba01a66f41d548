-- Users and their sessions.

create table users (
  id uuid primary key default gen_random_uuid(),
  -- in lower case; with collation "C" the check does not depend on a locale
  email text not null,
  name text not null,
  -- argon2id hash; null for an account that was created with plain SQL, whose user cannot sign in
  password_hash text,
  -- number of password changes; a new hash of the same password does not count as a change
  password_version integer not null default 0,
  created_at timestamptz not null default now(),
  constraint users_email_key unique (email),
  constraint users_email_canonical check (
    length(email) <= 254 and email collate "C" ~ '^[!-?A-~]+@[!-?A-~]+$' and email collate "C" !~ '[A-Z]'
  ),
  constraint users_name_length check (length(name) between 1 and 200 and name = btrim(name))
);

create table sessions (
  id uuid primary key,
  user_id uuid not null references users on delete cascade,
  -- number of rotations of the refresh token; the token itself is never stored
  counter integer not null default 0,
  rotated_at timestamptz,
  created_at timestamptz not null default now(),
  last_used_at timestamptz not null default now(),
  expires_at timestamptz not null,
  absolute_expires_at timestamptz not null,
  revoked_at timestamptz,
  -- signed_out, reused, replaced, evicted, revoked or password_changed; clients receive the reason in session.ended
  revoked_reason text,
  ip text not null default '',
  user_agent text not null default ''
);

create index sessions_user on sessions (user_id);

create index sessions_expires on sessions (expires_at);

-- The counters of throttles. The table is unlogged: a crash may lose the counts, and writes need no flush to disk.
create unlogged table throttles (
  key text primary key,
  count integer not null,
  allowed integer not null,
  resets_at timestamptz not null
);

-- The log contains every committed change once, in commit order. The functions in functions/log.sql write it.

create sequence events_pos;

create table events (
  -- position of the event: increases in commit order; a rolled back transaction leaves a gap
  pos bigint primary key,
  kind text not null,
  project_id uuid,
  checklist_id uuid,
  -- revision of the checklist: 1, 2, 3 … without gaps
  rev bigint,
  item_id uuid,
  -- the user that the event is about
  user_id uuid,
  before jsonb,
  after jsonb,
  actor_id uuid,
  op_id uuid,
  source text not null,
  at timestamptz not null
);

create unique index events_checklist on events (checklist_id, rev) where checklist_id is not null;
create index events_project on events (project_id, pos) where project_id is not null;
create index events_user on events (user_id, pos) where user_id is not null;

-- The current revision of each checklist. It is a separate table, which only the trigger number_events writes: it
-- writes under the commit lock and must not wait for the lock of another statement.
create table checklist_revs (
  checklist_id uuid primary key,
  rev bigint not null,
  updated_at timestamptz not null
);

-- The changes of transactions that are not committed yet. The table may be unlogged, because a crash rolls back these
-- transactions.
create unlogged table pending_events (
  xact xid8 not null,
  seq bigint not null generated always as identity,
  is_first boolean not null,
  kind text not null,
  project_id uuid,
  checklist_id uuid,
  item_id uuid,
  user_id uuid,
  before jsonb,
  after jsonb,
  actor_id uuid,
  op_id uuid,
  source text not null,
  primary key (xact, seq)
);

create table log_state (
  only_row boolean primary key default true check (only_row),
  -- part of the epoch; an operator can increment it, which makes all cursors invalid
  generation integer not null default 1,
  -- events up to this position may have been deleted; a stream with a cursor below it receives `reset`
  floor_pos bigint not null default 0
);

insert into log_state default values;

-- Projects and their members.

create table projects (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  created_at timestamptz not null default now(),
  constraint projects_name_length check (length(name) between 1 and 200 and name = btrim(name))
);

create table project_members (
  project_id uuid not null references projects on delete cascade,
  user_id uuid not null references users on delete cascade,
  role text not null,
  added_at timestamptz not null default now(),
  -- position of the event member.added with which this membership began
  since_pos bigint not null default 0,
  primary key (project_id, user_id),
  constraint project_members_role check (role in ('owner', 'editor', 'viewer'))
);

create index project_members_user on project_members (user_id, project_id);

-- Checklists, their items, deleted items and conflicts.

create table checklists (
  id uuid primary key default gen_random_uuid(),
  project_id uuid not null references projects on delete cascade,
  title text not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  constraint checklists_title_length check (length(title) between 1 and 200 and title = btrim(title))
);

create index checklists_project on checklists (project_id, id);

create table checklist_items (
  id uuid primary key default gen_random_uuid(),
  checklist_id uuid not null references checklists on delete cascade,
  text text not null,
  done boolean not null default false,
  due_on date,
  -- items are sorted by position, then by id; an insert without a position adds the item at the end
  position double precision not null,
  -- Only texts in their stored form are allowed, because the service compares the text that a user saw with the live
  -- text.
  constraint checklist_items_text check (
    length(text) between 1 and 2000
    and text = rtrim(text, U&' \000a\00a0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200a\2028\2029\202f\205f\3000\feff')
    and text collate "C" !~ '[\x01-\x09\x0b-\x1f\x7f-\x9f]'
    and text is nfc normalized
  ),
  constraint checklist_items_due_on check (due_on between '0001-01-01' and '9999-12-31'),
  -- this excludes NaN too, because NaN is greater than infinity
  constraint checklist_items_position check (position > '-infinity' and position < 'infinity')
);

create index checklist_items_order on checklist_items (checklist_id, position, id);

-- Deleted items. The operation item.restore reads them, and other items can still be placed below a deleted item.
create table deleted_items (
  like checklist_items including constraints,
  deleted_by uuid,
  deleted_at timestamptz not null default now(),
  primary key (id),
  foreign key (checklist_id) references checklists on delete cascade
);

create index deleted_items_checklist on deleted_items (checklist_id, position);

-- A conflict: two values of one field that could not be merged, so a user must choose. `ours` is the live value,
-- `theirs` is the kept value.
create table conflicts (
  id uuid primary key default gen_random_uuid(),
  checklist_id uuid not null references checklists on delete cascade,
  -- null when the conflict is about the title
  item_id uuid,
  field text not null,
  base jsonb,
  ours jsonb,
  theirs jsonb,
  ours_by uuid,
  theirs_by uuid,
  opened_rev bigint,
  -- A resolved conflict is stored for some time, so that a second conflict.resolve returns already_resolved.
  resolved_at timestamptz,
  constraint conflicts_field check (field in ('text', 'title', 'dueOn', 'alive')),
  -- enough for 2,000 characters of four bytes
  constraint conflicts_size check (
    coalesce(octet_length(base::text), 0) <= 8192
    and coalesce(octet_length(ours::text), 0) <= 8192
    and coalesce(octet_length(theirs::text), 0) <= 8192
  ),
  constraint conflicts_item check ((item_id is null) = (field = 'title'))
);

create index conflicts_open on conflicts (checklist_id, item_id) where resolved_at is null;

-- The results of operations. When a client sends an operation again, it changes nothing and the stored result is
-- returned.
create table operations (
  checklist_id uuid not null,
  op_id uuid not null,
  digest text not null,
  result jsonb not null,
  decided_at timestamptz not null default now(),
  -- With op_id alone, operations that have the same id on two checklists would wait for each other, perhaps under the
  -- commit lock.
  primary key (op_id, checklist_id)
);

-- The rows that a batch of operations has locked. `lists` and `items` contain ids, `members` contains texts "<user
-- id>/<project id>".
create type held_rows as (
  lists uuid[],
  items uuid[],
  members text[]
);

create index events_item on events (item_id, pos) where item_id is not null;

-- One row of bounded size for each node and checklist: the sockets of the node that have the checklist open. Every node
-- writes and reads the table once per second, so that the cost does not grow with the number of keystrokes. A NOTIFY
-- for each keystroke would need a lock that every COMMIT with a NOTIFY needs.
create unlogged table presence (
  checklist_id uuid not null,
  node_id uuid not null,
  count integer not null,
  -- JSON array of [joinedAt, Peer] for the sockets that joined first
  peers text not null,
  -- updated by the node every 10 s; the time stamp of a crashed node becomes old
  seen_at timestamptz not null default now(),
  primary key (checklist_id, node_id)
);

create index presence_node on presence (node_id);

-- Indexes for queries that select rows of large tables by their time.

-- A starting node queries the recently ended sessions.
create index events_ended_sessions on events (at) where kind = 'session.ended';

-- A BRIN index is enough, because rows are inserted in the order of their time and the oldest rows are deleted. It
-- costs writers almost no time.
create index operations_by_time on operations using brin (decided_at);

create index deleted_items_by_time on deleted_items using brin (deleted_at);

-- The digest of the files in sql/functions when they were last applied.
create table functions_applied (
  only_row boolean primary key default true check (only_row),
  digest text
);
insert into functions_applied default values;
