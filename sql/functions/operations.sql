-- What people do to a checklist, decided and written in one statement: apply_operations.
--
-- Every operation carries the values it started from, so no function here reads history. When text or title
-- differ both ways, the answer is {"needs": live}: the service merges the words and sends the operation again
-- with {"live", "value"}; a null value means that only a person can choose.

create or replace function outcome(outcome text, code text default null, "conflictId" uuid default null, value jsonb default null)
returns jsonb
language sql stable
as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'outcome', outcome, 'code', code, 'conflictId', "conflictId", 'value', value
  ))
$$;

create or replace function rejected(code text) returns jsonb
language sql stable
as $$ select outcome('rejected', code) $$;

-- The three-way rule for one field: the row against what the person started from and what they want.
-- `noop`, `applied`, `merged`, `conflict`, or null when the words have to be merged first.
create or replace function decide(live jsonb, was jsonb, wanted jsonb, merge jsonb, can_merge boolean) returns text
language sql immutable
as $$
  select case
    when live = wanted or was = wanted then 'noop'
    when live = was then 'applied'
    when not can_merge then 'conflict'
    when merge ->> 'live' is distinct from live #>> '{}' then null
    when merge -> 'value' = 'null' then 'conflict'
    else 'merged'
  end
$$;

-- Deciding operations: one, and a batch of them.

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

-- One operation of a person: the right to do it, whether it was done already, then the doing.
create or replace function decide_operation(entry jsonb, decided jsonb) returns jsonb
language plpgsql
as $$
declare
  op constant jsonb := entry -> 'op';
  actor constant uuid := (entry ->> 'actor')::uuid;
  op_key constant uuid := (op ->> 'opId')::uuid;
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

  perform
    set_config('app.actor', actor::text, true),
    set_config('app.source', entry ->> 'source', true),
    set_config('app.op', op ->> 'opId', true);
  return apply_operation(list, op, entry -> 'merge', actor);
end
$$;

-- Decides a batch of operations of any people on any lists, in order, and writes what they change: one
-- statement, one commit, however many there are. An entry is {job, actor, list, source, digest, op, merge?};
-- the answer is {pos, results}: the last position written, and a result each, null for what comes after an
-- operation of the same job that needs words merged.
--
-- Rows are locked first, each kind in one order, and the commit lock comes last, when nothing is left to
-- wait for. It is taken before the answer is on its way, and the answer is small: a service that stops
-- reading must not stop every writer.
create or replace function apply_operations(batch jsonb) returns jsonb
language plpgsql
-- Planning each of some thirty small statements anew would cost more than running them.
set plan_cache_mode = force_generic_plan
as $$
declare
  lists constant uuid[] := array(select distinct (entry ->> 'list')::uuid from jsonb_array_elements(batch) as entry);
  entry jsonb;
  answer jsonb;
  answers jsonb := '[]';
  decided jsonb := '{}';
  blocked text[] := '{}';
  noted bigint := 0;
  last_pos bigint;
  revs jsonb;
begin
  perform from project_members as member
  join checklists as list on list.project_id = member.project_id
  where list.id = any (lists)
  and member.user_id in (select (value ->> 'actor')::uuid from jsonb_array_elements(batch))
  order by member.project_id, member.user_id
  for share of member;

  perform from checklists where id = any (lists) order by id for no key update;

  perform from checklist_items
  where id in (select (value #>> '{op,itemId}')::uuid from jsonb_array_elements(batch))
  order by id
  for update;

  for entry in select value from jsonb_array_elements(batch) loop
    if entry ->> 'job' = any (blocked) then
      answers := answers || 'null';
      continue;
    end if;
    answer := decide_operation(entry, decided);
    if answer ? 'needs' then
      blocked := blocked || (entry ->> 'job');
    elsif answer ->> 'outcome' <> 'rejected' and not answer ? 'duplicate' then
      decided := decided || jsonb_build_object(entry #>> '{op,opId}', jsonb_build_object(
        'list', entry -> 'list', 'digest', entry -> 'digest', 'result', answer
      ));
    end if;
    answers := answers || jsonb_build_array(answer);
  end loop;

  if decided <> '{}' then
    select count(*) into noted from pending_events where xact = pg_current_xact_id();
    if noted > 0 then
      set constraints number_events immediate;
      last_pos := currval('events_pos');
    end if;
    -- between, not >: of an open range a plan without values expects a third of the table
    select coalesce(jsonb_object_agg(op_id, jsonb_build_object('rev', rev) order by pos), '{}') into revs
    from events
    where pos between last_pos - noted + 1 and last_pos;

    insert into operations (checklist_id, op_id, digest, result)
    select
      (value ->> 'list')::uuid, key::uuid, value ->> 'digest',
      value -> 'result' || coalesce(revs -> key, '{}')
    from jsonb_each(decided);

    select jsonb_agg(
      case
        when one = 'null' or one ->> 'outcome' = 'rejected' or not decided ? op_key then one
        when one ? 'duplicate' then one || coalesce(revs -> op_key, '{}')
        else one - 'value' || coalesce(revs -> op_key, '{}')
      end
      order by n
    ) into answers
    from jsonb_array_elements(answers) with ordinality as answered (one, n),
    lateral (select batch #>> array[(n - 1)::text, 'op', 'opId'] as op_key) as asked;
  end if;

  return jsonb_build_object(
    'pos', last_pos,
    'results', answers
  );
end
$$;
