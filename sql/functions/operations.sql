-- The function apply_operations applies operations of users to checklists, any number of them in one statement and one
-- commit.
--
-- Every operation contains the values from which its client started (`from`, `seen`), so the functions decide an
-- operation without reading the history of the list.
--
-- A merge of texts needs both the database and the node, because lib/merge-text.ts runs on the node:
-- 1. The live text differs from both `from` and `to`. The database writes nothing for this operation and returns
--    {"needs": live text}.
-- 2. The node merges `from`, the live text and `to`, and sends the operation again with "merge": {"live": live text,
--    "value", "parts"}. `value` is the merged text, or null when the words conflict or the merged text cannot be
--    stored. `parts` names the author of each part of the text.
-- 3. If the live text still equals `merge.live`, the database applies `value`, or opens a conflict when `value` is
--    null. Otherwise it returns {"needs": live text} again.
--
-- The result of a merge is stored with `value` and `parts`, but returned to the node without them, because the node
-- already has them. {"needs": null} requires no merge: the node must send the operation (list.restoreTo) again as the
-- first one of a statement.

-- Functions of an earlier version.
drop function if exists
  hold_rows(uuid[], uuid[], uuid[]),
  decide_operation(jsonb, jsonb, held_rows),
  refusal_by_role(uuid, uuid),
  earlier_result(uuid, text, jsonb),
  apply_operation(checklists, jsonb, jsonb, uuid);

-- Decides a batch of entries {job, actor, list, source, digest, op, merge?, trace?} in order, and writes their changes. Returns
-- {pos, results}: the last written position, and the decision about each entry. The decision is null for the entries
-- that follow an undecided entry of the same job. The result of an operation that wrote events also has `rev`, its last
-- revision, and `wrote` {events, bytes}.
--
-- The commit lock is taken last, so that its holder waits for no other lock. It is held while the response is sent. The
-- response is small, so that a node that stops reading from its socket does not block all writers.
create or replace function apply_operations(batch jsonb) returns jsonb
language plpgsql
-- Planning the about 15 small statements again for each call would cost more than running them. Ids are passed as
-- arrays: a generic plan expects 100 rows from a set-returning function and would scan whole tables. PostgreSQL may plan
-- a statement while its table is empty, and keep that plan when the table is large.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  lock_timeout constant text := current_setting('lock_timeout');
  decisions jsonb[];
begin
  perform set_config('lock_timeout', '20ms', true), set_config('app.numbers_events', 'on', true);
  -- One subtransaction for all operations. Only after an error, each operation has its own, so that it cannot fail the
  -- others: when a subtransaction updates a row that was locked outside of it, PostgreSQL creates a multixact.
  begin
    decisions := decide_batch(batch, false);
  exception when others then
    decisions := decide_batch(batch, true);
  end;
  perform set_config('lock_timeout', lock_timeout, true), set_config('app.numbers_events', '', true);
  return record_results(batch, decisions);
end
$$;

-- Returns the decision about each entry. With `is_careful`, an operation that fails does not fail the others.
create or replace function decide_batch(batch jsonb, is_careful boolean) returns jsonb[]
language plpgsql
as $$
declare
  size constant integer := jsonb_array_length(batch);
  held constant held_rows := hold_rows(batch);
  entry jsonb;
  op_key uuid;
  earlier jsonb;
  decision jsonb;
  decisions jsonb[] := '{}';
  -- the numbers of the entries that set_items has applied
  applied integer[] := '{}';
  -- the operations that this batch has decided, and the numbers of their entries
  decided uuid[] := '{}';
  decided_at integer[] := '{}';
  blocked_jobs text[] := '{}';
begin
  if size > 1 and not is_careful then
    applied := set_items(batch, held);
  end if;
  for n in 1 .. size loop
    entry := batch -> n - 1;
    if entry ->> 'job' = any (blocked_jobs) then
      decisions := decisions || 'null'::jsonb;
      continue;
    end if;
    op_key := (entry #>> '{op,opId}')::uuid;
    earlier := null;
    if op_key = any (decided) then
      declare
        at constant integer := decided_at[array_position(decided, op_key)];
      begin
        earlier := jsonb_build_object('digest', batch -> at - 1 -> 'digest', 'result', decisions[at]);
      end;
    end if;

    decision := case
      when n = any (applied) then '{"outcome": "applied"}'
      when is_careful then decide_safely(entry, held, earlier)
      else decide_operation(entry, held, earlier)
    end;
    if decision ?| '{needs,busy}' then
      blocked_jobs := blocked_jobs || (entry ->> 'job');
    elsif decision ->> 'outcome' <> 'rejected' and not decision ? 'duplicate' then
      decided := decided || op_key;
      decided_at := decided_at || n;
    end if;
    decisions := decisions || decision;
  end loop;
  return decisions;
end
$$;

-- Applies the operations `item.set` of a batch whose items still have the values from which the clients started, all in
-- one statement: to update one row, PostgreSQL takes five times as long to prepare the checks and triggers of the table
-- as to run them. Considers the first operation of each job and item only. Returns the numbers of the entries.
create or replace function set_items(batch jsonb, held held_rows) returns integer[]
language plpgsql
as $$
declare
  entries record;
  updated uuid[];
begin
  -- The subqueries return one value each, so that PostgreSQL cannot join whole tables.
  select
    array_agg(n::integer) as numbers, array_agg(list) as lists, array_agg(item) as items,
    array_agg(value #> '{op,set}') as changes, array_agg(actor) as actors, array_agg(op_key) as op_ids,
    array_agg(value ->> 'source') as sources, array_agg(value ->> 'trace') as traces
  into entries
  from (
    select
      *,
      row_number() over (partition by value ->> 'job' order by n) as of_job,
      row_number() over (partition by item order by n) as of_item,
      row_number() over (partition by op_key order by n) as of_op
    from (
      select
        value, n, (value ->> 'list')::uuid as list, (value ->> 'actor')::uuid as actor,
        (value #>> '{op,itemId}')::uuid as item, (value #>> '{op,opId}')::uuid as op_key
      from jsonb_array_elements(batch) with ordinality as entry (value, n)
    ) as entry
  ) as entry
  where of_job = 1
  and of_item = 1
  and of_op = 1
  and value #>> '{op,kind}' = 'item.set'
  and list = any (held.lists)
  and item = any (held.items)
  and (
    select member.user_id || '/' || member.project_id
    from checklists
    join project_members as member on member.project_id = checklists.project_id
    where checklists.id = list
    and deleted_at is null
    and member.user_id = actor
    and role <> 'viewer'
  ) = any (held.members)
  and (select op_id from operations where op_id = op_key limit 1) is null;
  if entries.items is null then
    return '{}';
  end if;

  with updated as (
    update checklist_items as item
    set
      text = coalesce(edit.change #>> '{text,to}', item.text),
      done = coalesce((edit.change #>> '{done,to}')::boolean, item.done),
      due_on = case
        when edit.change ? 'dueOn' then (edit.change #>> '{dueOn,to}')::date
        else item.due_on
      end
    from unnest(entries.items, entries.lists, entries.changes) as edit (id, list, change)
    where item.id = any (entries.items)
    and item.id = edit.id
    and item.checklist_id = edit.list
    and case
      when not edit.change ?| '{text,dueOn}' then item.done <> (edit.change #>> '{done,to}')::boolean
      else
        (item.text = edit.change #>> '{text,from}') is not false
        and (coalesce(to_jsonb(item.due_on), 'null') = edit.change #> '{dueOn,from}') is not false
        and (edit.change #> '{text,from}' = edit.change #> '{text,to}') is not true
        and (edit.change #> '{dueOn,from}' = edit.change #> '{dueOn,to}') is not true
        -- The trigger follow_item changes open conflicts in the name of the present actor.
        and not exists (
          select from conflicts where checklist_id = edit.list and item_id = edit.id and resolved_at is null
        )
    end
    returning item.id
  )
  select array_agg(id) into updated from updated;

  update pending_events as pending
  set actor_id = entry.actor, op_id = entry.op_key, source = entry.source, trace = entry.trace
  from unnest(entries.items, entries.actors, entries.op_ids, entries.sources, entries.traces)
    as entry (item, actor, op_key, source, trace)
  where xact = pg_current_xact_id_if_assigned()
  and pending.item_id = entry.item;

  return array(
    select n from unnest(entries.items, entries.numbers) as entry (item, n) where item = any (updated)
  );
end
$$;

-- Locks the rows that a batch needs, except those that another transaction has locked: a long transaction in psql
-- delays only the operations that need its rows. Waits for at most three locked lists, 20 ms each, because another node
-- may be deciding operations on them.
create or replace function hold_rows(batch jsonb) returns held_rows
language plpgsql
as $$
declare
  lists uuid[] := '{}';
  actors uuid[] := '{}';
  items uuid[] := '{}';
  held held_rows;
  list uuid;
begin
  for n in 0 .. jsonb_array_length(batch) - 1 loop
    lists := lists || (batch #>> array[n::text, 'list'])::uuid;
    actors := actors || (batch #>> array[n::text, 'actor'])::uuid;
    items := items || (batch #>> array[n::text, 'op', 'itemId'])::uuid;
  end loop;
  select
    array(
      select member.user_id || '/' || member.project_id
      from checklists
      join project_members as member on member.project_id = checklists.project_id
      where checklists.id = any (lists)
      and member.user_id = any (actors)
      for share of member skip locked
    ),
    array(
      select id from checklists where id = any (lists) for no key update skip locked
    ),
    array(
      select id from checklist_items where id = any (items) for update skip locked
    )
  into held.members, held.lists, held.items;

  if not held.lists @> lists then
    for list in
      select id from checklists where id = any (lists) and id <> all (held.lists) order by random() limit 3
    loop
      begin
        perform from checklists where id = list for no key update;
        held.lists := held.lists || list;
      exception when lock_not_available then
        exit;
      end;
    end loop;
    -- The transaction that had locked the lists may have locked these items, too.
    held.items := held.items || array(
      select id from checklist_items where id = any (items) and id <> all (held.items) for update skip locked
    );
  end if;
  return held;
end
$$;

create or replace function decide_safely(entry jsonb, held held_rows, earlier jsonb) returns jsonb
language plpgsql
as $$
begin
  return decide_operation(entry, held, earlier);
exception
  when data_exception or integrity_constraint_violation or program_limit_exceeded then
    return rejected('invalid') || jsonb_build_object('fault', sqlerrm);
  when lock_not_available then
    -- From now on, waits only 1 ms for each row, because the other operations of the batch wait for this one.
    perform set_config('lock_timeout', '1ms', true);
    return '{"busy": "item"}';
  when others then
    return jsonb_build_object('busy', 'item', 'fault', sqlerrm);
end
$$;

-- `earlier` is the {digest, result} of the operation if the present statement has decided it already. Returns one of:
-- - A result. It has `hidden` when the list does not exist for this user, and `fault` when an error of PostgreSQL made
--   the operation invalid. Nothing was written when the outcome is `rejected`.
-- - {"needs": …}, as described above.
-- - {"busy": "list" or "item"} when another transaction has locked a row, or with `fault` after an unexpected error.
--   Nothing was written.
create or replace function decide_operation(entry jsonb, held held_rows, earlier jsonb) returns jsonb
language plpgsql
as $$
declare
  op constant jsonb := entry -> 'op';
  actor constant uuid := (entry ->> 'actor')::uuid;
  list_key constant uuid := (entry ->> 'list')::uuid;
  op_key constant uuid := (op ->> 'opId')::uuid;
  item_key constant uuid := (op ->> 'itemId')::uuid;
  list record;
begin
  select checklists.project_id, checklists.deleted_at, member.role, stored.digest, stored.result into list
  from checklists
  left join project_members as member on member.project_id = checklists.project_id and member.user_id = actor
  left join lateral (
    select digest, result from operations where op_id = op_key order by checklist_id <> list_key limit 1
  ) as stored on true
  where checklists.id = list_key;

  if list.role is null then
    return refusal_of_non_member(list.project_id, actor);
  elsif list.role = 'viewer' then
    return rejected('forbidden');
  elsif list_key <> all (held.lists) or actor || '/' || list.project_id <> all (held.members) then
    return '{"busy": "list"}';
  end if;
  earlier := coalesce(earlier, jsonb_build_object('digest', list.digest, 'result', list.result));
  if earlier ->> 'digest' <> entry ->> 'digest' then
    return rejected('op_id_reused');
  elsif earlier ->> 'digest' is not null then
    return earlier -> 'result' || '{"duplicate": true}';
  end if;
  if item_key <> all (held.items) and exists (select from checklist_items where id = item_key) then
    return '{"busy": "item"}';
  end if;

  perform
    set_config('app.actor', actor::text, true),
    set_config('app.source', entry ->> 'source', true),
    set_config('app.op', op ->> 'opId', true);
  if entry ? 'trace' then
    perform set_config('app.trace', entry ->> 'trace', true);
  end if;
  return apply_operation(list_key, list.deleted_at is not null, op, entry -> 'merge', actor);
end
$$;

-- A user who was never a member receives `not_found`, so that they do not learn that the list exists.
create or replace function refusal_of_non_member(project uuid, actor uuid) returns jsonb
language plpgsql stable
as $$
begin
  return rejected(case
    when exists (
      select from events
      where user_id = actor and project_id = project and kind = 'member.removed'
    ) then 'forbidden'
    else 'not_found'
  end) || '{"hidden": true}';
end
$$;

create or replace function apply_operation(list uuid, is_deleted boolean, op jsonb, merge jsonb, actor uuid) returns jsonb
language plpgsql
as $$
declare
  kind constant text := op ->> 'kind';
begin
  if kind = 'list.restore' then
    update checklists set deleted_at = null where id = list and deleted_at is not null;
    return outcome(case when found then 'applied' else 'noop' end);
  end if;
  if is_deleted then
    return case kind when 'list.delete' then outcome('noop') else rejected('list_deleted') end;
  end if;
  if kind = 'list.delete' then
    if is_changed_since(list, (op ->> 'seenRev')::bigint, actor)
      and not coalesce((op ->> 'force')::boolean, false)
    then
      return rejected('changed_since');
    end if;
    update checklists set deleted_at = now() where id = list;
    return outcome('applied');
  end if;
  return case kind
    when 'item.add' then op_item_add(list, op)
    when 'item.set' then op_item_set(list, op, merge, actor)
    when 'item.move' then op_item_move(list, op)
    when 'item.delete' then op_item_delete(list, op, actor)
    when 'item.restore' then op_item_restore(list, op)
    when 'list.rename' then op_list_rename(list, op, merge, actor)
    when 'list.restoreTo' then op_list_restore_to(list, op, actor)
    when 'conflict.resolve' then op_conflict_resolve(list, op)
  end;
end
$$;
