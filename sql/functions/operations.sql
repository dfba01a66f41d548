-- What people do to a checklist, decided and written in one statement: apply_operations.
--
-- Every operation carries the values it started from, so no function here reads history. When text or title
-- differ both ways, the answer is {"needs": live}: the service merges the words and sends the operation again
-- with `merge` = {"live", "value", "parts"}. Its value counts as long as `live` is still live; a null value means
-- that only a person can choose.

create or replace function outcome(
  outcome text, code text default null, "conflictId" uuid default null, value jsonb default null, parts jsonb default null
)
returns jsonb
language sql stable
as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'outcome', outcome, 'code', code, 'conflictId', "conflictId", 'value', value, 'parts', parts
  ))
$$;

create or replace function rejected(code text) returns jsonb
language sql stable
as $$ select outcome('rejected', code) $$;

create or replace function merged(merge jsonb) returns jsonb
language sql stable
as $$ select outcome('merged', value => merge -> 'value', parts => merge -> 'parts') $$;

-- The three-way rule for a text: what is live, against what the person started from and what they want. Returns
-- `noop`, `applied`, `merged` or `conflict`, or null when the words have to be merged first.
create or replace function decide(live jsonb, was jsonb, wanted jsonb, merge jsonb) returns text
language sql immutable
as $$
  select case
    when live = wanted or was = wanted then 'noop'
    when live = was then 'applied'
    when merge -> 'live' is distinct from live then null
    when merge -> 'value' = 'null' then 'conflict'
    when merge -> 'value' = live then 'noop'
    else 'merged'
  end
$$;

-- The same rule for a date, which cannot be merged.
create or replace function decide_date(live jsonb, was jsonb, wanted jsonb) returns text
language sql immutable
as $$
  select case
    when live = wanted or was = wanted then 'noop'
    when live = was then 'applied'
    else 'conflict'
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

-- Decides one operation of a person: the right to do it, whether it was decided earlier, then the change itself.
-- `decided` holds what the present statement has decided, by opId. The answer is a result, with `hidden` when the
-- list does not exist for this person; or {"needs": …}; or {"busy": …} when another transaction holds a row that
-- it wants; or a result with `fault`, the error of PostgreSQL that made it invalid. Only a result other than
-- `rejected` means that something may have been written.
create or replace function decide_operation(entry jsonb, decided jsonb, held held_rows) returns jsonb
language plpgsql
as $$
declare
  op constant jsonb := entry -> 'op';
  actor constant uuid := (entry ->> 'actor')::uuid;
  op_key constant uuid := (op ->> 'opId')::uuid;
  item_key constant uuid := (op ->> 'itemId')::uuid;
  list checklists;
  member_role text;
  earlier record;
begin
  select * into list from checklists where id = (entry ->> 'list')::uuid;
  select role into member_role from project_members where project_id = list.project_id and user_id = actor;
  if member_role is null then
    -- Who was a member once knows the list; to anybody else it does not exist.
    return rejected(case
      when exists (
        select from events
        where user_id = actor and project_id = list.project_id and kind = 'member.removed'
      ) then 'forbidden'
      else 'not_found'
    end) || '{"hidden": true}';
  end if;
  if member_role = 'viewer' then
    return rejected('forbidden');
  end if;
  if list.id <> all (held.lists) or actor || '/' || list.project_id <> all (held.members) then
    return '{"busy": "list"}';
  end if;

  if decided ? (op ->> 'opId') then
    select decided #>> array[op ->> 'opId', 'digest'] as digest, decided #> array[op ->> 'opId', 'result'] as result
    into earlier;
  else
    select operations.digest, operations.result into earlier
    from operations
    where op_id = op_key
    order by checklist_id <> list.id
    limit 1;
  end if;
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
  return apply_operation(list, op, entry -> 'merge', actor);
exception
  when data_exception or integrity_constraint_violation or program_limit_exceeded then
    return rejected('invalid') || jsonb_build_object('fault', sqlerrm);
  when lock_not_available then
    -- Further rows are not waited for: other operations of the batch wait behind this one.
    perform set_config('lock_timeout', '1ms', true);
    return '{"busy": "item"}';
  when others then
    return jsonb_build_object('busy', 'item', 'fault', sqlerrm);
end
$$;

-- Locks what a batch wants, as far as no other transaction holds it. A list is the exception: another node may
-- be deciding operations on it, which takes milliseconds, so a few are waited for, 20 ms each. Whatever a
-- transaction in psql holds delays nothing but the operations that want it.
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

-- Decides a batch of operations of any people on any lists, in order, and writes what they change: one statement,
-- one commit, however many there are. An entry is {job, actor, list, source, digest, op, merge?}. The answer is
-- {pos, results}: the last position written, and for each entry what decide_operation returned, null for what
-- comes after an operation of the same job that could not be decided. What was written has `rev`, its last
-- revision, and `wrote` {events, bytes}.
--
-- The commit lock comes last, when no other lock is left to wait for. It is taken before the answer is on its way,
-- and the answer is small: a service that stops reading must not stop every writer.
create or replace function apply_operations(batch jsonb) returns jsonb
language plpgsql
-- Planning each of some thirty small statements anew would cost more than running them. Ids stand in arrays: the
-- planner expects 100 rows of a function, and would read whole tables for them.
set plan_cache_mode = force_generic_plan
as $$
declare
  lock_timeout constant text := current_setting('lock_timeout');
  held held_rows;
  entry jsonb;
  answer jsonb;
  answers jsonb[] := '{}';
  decided jsonb := '{}';
  blocked text[] := '{}';
  written jsonb := '{}';
  revs jsonb := '{}';
  last_pos bigint;
begin
  perform set_config('lock_timeout', '20ms', true);
  held := hold_rows(
    array(select distinct (value ->> 'list')::uuid from jsonb_array_elements(batch)),
    array(select distinct (value ->> 'actor')::uuid from jsonb_array_elements(batch)),
    array(select distinct (value #>> '{op,itemId}')::uuid from jsonb_array_elements(batch))
  );

  for entry in select value from jsonb_array_elements(batch) loop
    if entry ->> 'job' = any (blocked) then
      answers := answers || 'null'::jsonb;
      continue;
    end if;
    answer := decide_operation(entry, decided, held);
    if answer ?| '{needs,busy}' then
      blocked := blocked || (entry ->> 'job');
    elsif answer ->> 'outcome' <> 'rejected' and not answer ? 'duplicate' then
      decided := decided || jsonb_build_object(entry #>> '{op,opId}', jsonb_build_object(
        'list', entry -> 'list', 'digest', entry -> 'digest', 'result', answer
      ));
    end if;
    answers := answers || answer;
  end loop;

  if decided <> '{}' then
    perform set_config('lock_timeout', lock_timeout, true);
    -- Measured here, since nobody waits for this statement before it takes the commit lock.
    written := what_is_pending();
    if written <> '{}' then
      set constraints number_events immediate;
      last_pos := currval('events_pos');
      revs := revs_of(last_pos, written);
    end if;
    insert into operations (checklist_id, op_id, digest, result)
    select
      (value ->> 'list')::uuid, key::uuid, value ->> 'digest', numbered(value -> 'result', revs -> key)
    from jsonb_each(decided);
  end if;

  return jsonb_build_object('pos', last_pos, 'results', coalesce(
    (
      select jsonb_agg(answer_of(answered.answer, op_key, decided, revs -> op_key, written -> op_key) order by n)
      from unnest(answers) with ordinality as answered (answer, n),
      lateral (select batch #>> array[(n - 1)::text, 'op', 'opId'] as op_key) as asked
    ),
    '[]'
  ));
end
$$;

-- Returns what each operation of this transaction wrote, by opId: how many events, and their bytes.
create or replace function what_is_pending() returns jsonb
language plpgsql stable
as $$
begin
  return (
    select coalesce(jsonb_object_agg(op_id, jsonb_build_object('events', events, 'bytes', bytes)), '{}')
    from (
      -- The text, not the stored size: a long text may be compressed, and is sent as it was.
      select
        op_id, count(*) as events,
        sum(coalesce(octet_length(before::text), 0) + coalesce(octet_length(after::text), 0)) as bytes
      from pending_events
      where xact = pg_current_xact_id_if_assigned()
      group by op_id
    ) as by_operation
  );
end
$$;

-- Returns the last revision that each operation wrote, by opId, of a transaction whose last event is at `last_pos`.
create or replace function revs_of(last_pos bigint, written jsonb) returns jsonb
language plpgsql stable
as $$
declare
  first_pos constant bigint := last_pos + 1 - (select sum((value ->> 'events')::bigint) from jsonb_each(written));
begin
  return (
    select jsonb_object_agg(op_id, rev)
    from (
      select op_id, max(rev) as rev
      from events
      -- between, not >: of an open range a plan without values expects a third of the table
      where pos between first_pos and last_pos
      group by op_id
    ) as by_operation
  );
end
$$;

-- Returns a result with its revision. An operation that wrote nothing is a `noop`, whatever it set out to do.
create or replace function numbered(result jsonb, rev jsonb) returns jsonb
language plpgsql immutable
as $$
begin
  return case
    when rev is not null then result || jsonb_build_object('rev', rev)
    when result ->> 'outcome' in ('applied', 'merged') then (result || '{"outcome": "noop"}') - 'value' - 'parts'
    else result
  end;
end
$$;

-- Returns the answer to one entry: what this statement decided, with its revision and what it wrote. The service has
-- the merged words, so they are not sent back to it.
create or replace function answer_of(answer jsonb, op_key text, decided jsonb, rev jsonb, wrote jsonb) returns jsonb
language plpgsql immutable
as $$
begin
  return case
    when coalesce(answer ->> 'outcome', 'rejected') = 'rejected' or not decided ? op_key then answer
    when answer ? 'duplicate' then numbered(answer, rev)
    else numbered(answer, rev) - 'value' - 'parts' || jsonb_strip_nulls(jsonb_build_object('wrote', wrote))
  end;
end
$$;
