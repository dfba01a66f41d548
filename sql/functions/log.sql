-- The log contains every committed change once, in commit order.
--
-- A row trigger stores each change in pending_events while the statement runs, together with the present actor. One
-- deferred trigger per transaction runs during COMMIT. It takes the commit lock, moves the pending changes to events
-- and numbers them. If the numbers were assigned before COMMIT, transactions would become visible in another order than
-- their numbers, and a reader of `pos > cursor` would miss events (measured: 29–47 % with 8–12 writers).

-- The epoch changes with a restore or a fail-over, because positions in older cursors may then belong to other events.
-- An operator can change it with `generation`.
create or replace function log_epoch() returns text
language sql stable
as $$
  select substr(md5(concat_ws('/',
    (select system_identifier from pg_control_system()),
    substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
    (select oid from pg_database where datname = current_database()),
    (select generation from log_state)
  )), 1, 12)
$$;

-- Returns null for plain SQL. The settings app.* are used only if the session's role is a member of the role that owns
-- these functions, so that no other role can write in a user's name.
create or replace function acting_user() returns uuid
language plpgsql stable
as $$
begin
  return case
    when pg_has_role(session_user, current_user, 'member') then nullif(current_setting('app.actor', true), '')::uuid
  end;
end
$$;

-- Runs with the rights and the search_path of the trigger function that calls it.
create or replace function log_change(
  kind text,
  project_id uuid default null,
  checklist_id uuid default null,
  item_id uuid default null,
  user_id uuid default null,
  before jsonb default null,
  after jsonb default null
) returns void
language plpgsql
-- PostgreSQL may plan the query while pending_events is empty, and keep that plan when the table is large.
set enable_seqscan = off
as $$
declare
  this constant xid8 := pg_current_xact_id();
  is_own constant boolean := pg_has_role(session_user, current_user, 'member');
begin
  insert into pending_events
    (xact, is_first, kind, project_id, checklist_id, item_id, user_id, before, after, actor_id, op_id, source, trace)
  values (
    this,
    case
      when is_own and current_setting('app.numbers_events', true) = 'on' then false -- apply_operations numbers them
      -- A setting cannot store whether this row is the first one: a rollback to a savepoint removes the first row and
      -- its queued trigger, but the transaction may then write other rows.
      else not exists (select from pending_events where xact = this)
    end,
    kind, project_id, checklist_id, item_id, user_id, before, after,
    acting_user(),
    case when is_own then nullif(current_setting('app.op', true), '')::uuid end,
    coalesce(case when is_own then nullif(current_setting('app.source', true), '') end, 'sql'),
    case when is_own then nullif(current_setting('app.trace', true), '') end
  );
end
$$;

create or replace function number_events() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
  perform number_pending(new.xact);
  return null;
end
$$;

-- Moves the pending changes of a transaction to events and numbers them. Returns the last position, and the last
-- revision of each operation.
create or replace function number_pending(
  this xid8, out last_pos bigint, out op_ids uuid[], out revs bigint[]
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp set enable_seqscan = off
as $$
declare
  pending pending_events;
  list uuid;
  list_rev bigint;
  stored_rev bigint;
  commit_at constant numeric := extract(epoch from clock_timestamp());
  written_at timestamptz;
begin
  -- The commit lock is held until the transaction is visible, so that events become visible in the order of pos.
  perform pg_advisory_xact_lock(hashtextextended('concord.log', 0));
  -- One time for all: clients take `updatedAt` of a checklist from its newest event.
  written_at := clock_timestamp();
  -- With synchronous_commit off, a crash could lose a commit that clients have received; its positions would then be
  -- used for other events.
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;

  for pending in
    with pending as (delete from pending_events where xact = this returning *)
    select * from pending order by seq
  loop
    -- checklist_revs is updated once or twice for consecutive changes of one list: one update per change took 3 times as
    -- long.
    if pending.checklist_id is distinct from list then
      if list_rev <> stored_rev then
        update checklist_revs set rev = list_rev where checklist_id = list;
      end if;
      list := pending.checklist_id;
      list_rev := null;
      if list is not null then
        insert into checklist_revs as revs (checklist_id, rev, updated_at)
        values (list, 1, written_at)
        on conflict (checklist_id) do update set rev = revs.rev + 1, updated_at = excluded.updated_at
        returning rev into list_rev;
      end if;
      stored_rev := list_rev;
    else
      list_rev := list_rev + 1;
    end if;

    last_pos := nextval('events_pos');
    insert into events
      (pos, kind, project_id, checklist_id, rev, item_id, user_id, before, after, actor_id, op_id, source, at, trace)
    values (
      last_pos, pending.kind, pending.project_id, list, list_rev, pending.item_id, pending.user_id,
      pending.before,
      case pending.kind
        when 'conflict.opened' then pending.after || jsonb_build_object('openedRev', list_rev)
        else pending.after
      end,
      pending.actor_id, pending.op_id, pending.source, written_at,
      -- null without tracing
      pending.trace || ' ' || commit_at
    );
    -- The changes of an operation follow each other.
    if pending.op_id = op_ids[cardinality(op_ids)] then
      revs[cardinality(revs)] := list_rev;
    elsif pending.op_id is not null then
      op_ids := op_ids || pending.op_id;
      revs := revs || list_rev;
    end if;

    -- These tables store the position or the revision of an event.
    case pending.kind
      when 'member.added' then
        update project_members set since_pos = last_pos
        where project_id = pending.project_id and user_id = pending.user_id;
      when 'conflict.opened' then
        update conflicts set opened_rev = list_rev
        where id = (pending.after ->> 'id')::uuid;
      else
    end case;
  end loop;
  if list_rev <> stored_rev then
    update checklist_revs set rev = list_rev where checklist_id = list;
  end if;

  notify concord;
end
$$;

create or replace function refuse_truncate() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
  raise exception 'truncate of % would send no event to clients', tg_table_name
    using hint = 'use DELETE', errcode = 'feature_not_supported';
end
$$;

create or replace function refuse_new_parent() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
  raise exception 'the id and the parent of a row of % cannot be changed', tg_table_name
    using hint = 'delete it and insert a new one', errcode = 'feature_not_supported';
end
$$;
