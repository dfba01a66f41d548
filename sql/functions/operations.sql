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

-- Decides a batch of entries {job, actor, list, source, digest, op, merge?, trace?} in order, and writes their changes. Returns
-- {pos, results}: the last written position, and the decision about each entry. The decision is null for the entries
-- that follow an undecided entry of the same job. The result of an operation that wrote events also has `rev`, its last
-- revision, and `wrote` {events, bytes}.
--
-- The commit lock is taken last, so that its holder waits for no other lock. It is held while the response is sent. The
-- response is small, so that a node that stops reading from its socket does not block all writers.
create or replace function apply_operations(batch jsonb) returns jsonb
language plpgsql
-- Planning the about 30 small statements again for each call would cost more than running them. Ids are passed as
-- arrays: a generic plan expects 100 rows from a set-returning function and would scan whole tables. PostgreSQL may plan
-- a statement while its table is empty, and keep that plan when the table is large.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  lock_timeout constant text := current_setting('lock_timeout');
  held held_rows;
  entry jsonb;
  decision jsonb;
  decisions jsonb[] := '{}';
  decided jsonb := '{}';
  blocked_jobs text[] := '{}';
begin
  perform set_config('lock_timeout', '20ms', true);
  held := hold_rows(
    array(select distinct (value ->> 'list')::uuid from jsonb_array_elements(batch)),
    array(select distinct (value ->> 'actor')::uuid from jsonb_array_elements(batch)),
    array(select distinct (value #>> '{op,itemId}')::uuid from jsonb_array_elements(batch))
  );

  for entry in select value from jsonb_array_elements(batch) loop
    if entry ->> 'job' = any (blocked_jobs) then
      decisions := decisions || 'null'::jsonb;
      continue;
    end if;
    decision := decide_operation(entry, decided, held);
    if decision ?| '{needs,busy}' then
      blocked_jobs := blocked_jobs || (entry ->> 'job');
    elsif decision ->> 'outcome' <> 'rejected' and not decision ? 'duplicate' then
      decided := decided || jsonb_build_object(entry #>> '{op,opId}', jsonb_build_object(
        'list', entry -> 'list', 'digest', entry -> 'digest', 'result', decision
      ));
    end if;
    decisions := decisions || decision;
  end loop;

  perform set_config('lock_timeout', lock_timeout, true);
  return record_results(batch, decisions, decided);
end
$$;

-- Locks the rows that a batch needs, except those that another transaction has locked: a long transaction in psql
-- delays only the operations that need its rows. Waits for at most three locked lists, 20 ms each, because another node
-- may be deciding operations on them.
create or replace function hold_rows(lists uuid[], actors uuid[], items uuid[]) returns held_rows
language plpgsql
as $$
declare
  held held_rows;
  list uuid;
begin
  held.members := array(
    select member.user_id || '/' || member.project_id
    from checklists
    join project_members as member on member.project_id = checklists.project_id
    where checklists.id = any (lists)
    and member.user_id = any (actors)
    for share of member skip locked
  );
  held.lists := array(
    select id from checklists where id = any (lists) for no key update skip locked
  );
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
  held.items := array(
    select id from checklist_items where id = any (items) for update skip locked
  );
  return held;
end
$$;

-- `decided` contains the decisions of the present statement, by opId. Returns one of:
-- - A result. It has `hidden` when the list does not exist for this user, and `fault` when an error of PostgreSQL made
--   the operation invalid. Nothing was written when the outcome is `rejected`.
-- - {"needs": …}, as described above.
-- - {"busy": "list" or "item"} when another transaction has locked a row, or with `fault` after an unexpected error.
--   Nothing was written.
create or replace function decide_operation(entry jsonb, decided jsonb, held held_rows) returns jsonb
language plpgsql
as $$
declare
  op constant jsonb := entry -> 'op';
  actor constant uuid := (entry ->> 'actor')::uuid;
  item_key constant uuid := (op ->> 'itemId')::uuid;
  list checklists;
  refusal jsonb;
  earlier record;
begin
  select * into list from checklists where id = (entry ->> 'list')::uuid;
  refusal := refusal_by_role(list.project_id, actor);
  if refusal is not null then
    return refusal;
  end if;
  if list.id <> all (held.lists) or actor || '/' || list.project_id <> all (held.members) then
    return '{"busy": "list"}';
  end if;
  earlier := earlier_result(list.id, op ->> 'opId', decided);
  if earlier.digest <> entry ->> 'digest' then
    return rejected('op_id_reused');
  elsif earlier.digest is not null then
    return earlier.result || '{"duplicate": true}';
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
  return apply_operation(list, op, entry -> 'merge', actor);
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

-- A user who was never a member receives `not_found`, so that they do not learn that the list exists.
create or replace function refusal_by_role(project uuid, actor uuid) returns jsonb
language plpgsql stable
as $$
declare
  member_role text;
begin
  select role into member_role from project_members where project_id = project and user_id = actor;
  if member_role is null then
    return rejected(case
      when exists (
        select from events
        where user_id = actor and project_id = project and kind = 'member.removed'
      ) then 'forbidden'
      else 'not_found'
    end) || '{"hidden": true}';
  end if;
  return case when member_role = 'viewer' then rejected('forbidden') end;
end
$$;

create or replace function earlier_result(
  list uuid, op_key text, decided jsonb, out digest text, out result jsonb
)
language plpgsql stable
as $$
begin
  if decided ? op_key then
    digest := decided #>> array[op_key, 'digest'];
    result := decided #> array[op_key, 'result'];
  else
    select operations.digest, operations.result into digest, result
    from operations
    where op_id = op_key::uuid
    order by checklist_id <> list
    limit 1;
  end if;
end
$$;

create or replace function apply_operation(list checklists, op jsonb, merge jsonb, actor uuid) returns jsonb
language plpgsql
as $$
declare
  kind constant text := op ->> 'kind';
begin
  if kind = 'list.restore' then
    update checklists set deleted_at = null where id = list.id and deleted_at is not null;
    return outcome(case when found then 'applied' else 'noop' end);
  end if;
  if list.deleted_at is not null then
    return case kind when 'list.delete' then outcome('noop') else rejected('list_deleted') end;
  end if;
  if kind = 'list.delete' then
    if is_changed_since(list.id, (op ->> 'seenRev')::bigint, actor)
      and not coalesce((op ->> 'force')::boolean, false)
    then
      return rejected('changed_since');
    end if;
    update checklists set deleted_at = now() where id = list.id;
    return outcome('applied');
  end if;
  return case kind
    when 'item.add' then op_item_add(list.id, op)
    when 'item.set' then op_item_set(list.id, op, merge, actor)
    when 'item.move' then op_item_move(list.id, op)
    when 'item.delete' then op_item_delete(list.id, op, actor)
    when 'item.restore' then op_item_restore(list.id, op)
    when 'list.rename' then op_list_rename(list.id, op, merge, actor)
    when 'list.restoreTo' then op_list_restore_to(list.id, op, actor)
    when 'conflict.resolve' then op_conflict_resolve(list.id, op)
  end;
end
$$;
