-- What people do to a checklist, decided and written in one statement: see apply_operations at the end.
--
-- Every operation carries the values it started from, so nothing here looks at history. Values that differ
-- both ways go back to the service as {"needs": live}: it merges the words and sends the operation again with
-- {"live", "value"}; a null value says that only a person can choose.

-- What was decided, so that an operation that is sent again changes nothing and answers the same.
create table operations (
  checklist_id uuid not null references checklists on delete cascade,
  op_id uuid not null,
  digest text not null,
  result jsonb not null,
  decided_at timestamptz not null default now(),
  -- the same id on two lists does not wait for one another: whoever waits here may hold the commit lock
  primary key (op_id, checklist_id)
);

create index events_item on events (item_id, pos) where item_id is not null;

create function outcome(outcome text, code text default null, "conflictId" uuid default null, value jsonb default null)
returns jsonb
language sql stable
as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'outcome', outcome, 'code', code, 'conflictId', "conflictId", 'value', value
  ))
$$;

create function rejected(code text) returns jsonb
language sql stable
as $$ select outcome('rejected', code) $$;

-- Who last gave an item the text or date that is live.
create function author_of(item uuid, field text) returns uuid
language sql stable
as $$
  select actor_id
  from events
  where item_id = item
  and kind in ('item.added', 'item.updated')
  and (before -> field) is distinct from (after -> field)
  order by pos desc
  limit 1
$$;

-- Whether one more value may be kept beside the live one of an item (null: of the title). The same value is
-- kept once, so it always may.
create function can_keep(list uuid, item uuid, field text, theirs jsonb) returns boolean
language sql stable
as $$
  select count(*) < 20 or bool_or(conflicts.field = can_keep.field and conflicts.theirs = can_keep.theirs)
  from conflicts
  where checklist_id = list and item_id is not distinct from item and resolved_at is null
$$;

-- Opens a conflict, or answers the open one that keeps the same value already.
create function open_conflict(
  list uuid, item uuid, field text, base jsonb, ours jsonb, theirs jsonb, ours_by uuid, theirs_by uuid
) returns uuid
language plpgsql
as $$
#variable_conflict use_variable
declare
  opened uuid;
begin
  select id into opened
  from conflicts as c
  where c.checklist_id = list
  and c.item_id is not distinct from item
  and c.field = field
  and c.theirs = theirs
  and c.resolved_at is null;
  if not found then
    insert into conflicts (checklist_id, item_id, field, base, ours, theirs, ours_by, theirs_by)
    values (list, item, field, base, ours, theirs, ours_by, theirs_by)
    returning id into opened;
  end if;
  return opened;
end
$$;

-- The rest of an edit that was kept aside: the same person goes on from the value that is in the conflict.
-- Having come to what is live, it is none any more.
create function extend_conflict(list uuid, item uuid, field text, was jsonb, value jsonb, actor uuid) returns uuid
language sql
as $$
  update conflicts
  set theirs = value, resolved_at = case when ours = value then now() end
  where checklist_id = list
  and item_id is not distinct from item
  and conflicts.field = extend_conflict.field
  and theirs = was
  and theirs_by = actor
  and resolved_at is null
  returning id
$$;

-- Gives every item of a list, and every deleted one, its place in steps of 1024.
create function renumber(list uuid) returns void
language sql
as $$
  with placed as (
    select id, row_number() over (order by position, id) * 1024 as position
    from (
      select id, position from checklist_items where checklist_id = list
      union all
      select id, position from deleted_items where checklist_id = list
    ) as everything
  ),
  deleted as (
    update deleted_items set position = placed.position
    from placed
    where deleted_items.id = placed.id
  )
  update checklist_items set position = placed.position
  from placed
  where checklist_items.id = placed.id
  and checklist_items.position <> placed.position
$$;

-- Where `many` items in a row go after an anchor (null: on top): the first position and the step to the next.
-- A deleted anchor stands for its last place. `mover` is not counted as a neighbour. Null for an unknown anchor.
create function place_after(
  list uuid, anchor uuid, many integer, mover uuid default null,
  out start double precision, out step double precision
)
language plpgsql
as $$
declare
  low double precision;
  high double precision;
begin
  for attempt in 1..2 loop
    if anchor is not null then
      select position into low
      from (
        select position from checklist_items where id = anchor and checklist_id = list
        union all
        select position from deleted_items where id = anchor and checklist_id = list
      ) as place;
      if not found then
        return;
      end if;
    end if;

    select position into high
    from checklist_items
    where checklist_id = list
    and (anchor is null or (position, id) > (low, anchor))
    and id is distinct from mover
    order by position, id
    limit 1;

    step := case when low is null or high is null then 1024 else (high - low) / (many + 1) end;
    start := case when low is null then coalesce(high, 1024 * (many + 1)) - step * many else low + step end;
    -- doubles have an end: neighbours that cannot be told apart get room first
    exit when step >= 1 or (start > low and step > 0 and start + step * (many - 1) < high and start + step > start);
    perform renumber(list);
  end loop;
end
$$;

create function op_item_add(list uuid, op jsonb) returns jsonb
language plpgsql
as $$
declare
  items constant jsonb := coalesce(op -> 'items', jsonb_build_array(op));
  many constant integer := jsonb_array_length(items);
  ids constant uuid[] := array(select (item ->> 'itemId')::uuid from jsonb_array_elements(items) as item);
  place record;
begin
  if exists (select from checklist_items where id = any (ids))
    or exists (select from deleted_items where id = any (ids))
    or (select count(distinct id) from unnest(ids) as id) <> many
  then
    return rejected('invalid');
  end if;
  if many + (select count(*) from checklist_items where checklist_id = list) > 1000 then
    return rejected('limit');
  end if;
  place := place_after(list, (op ->> 'after')::uuid, many);
  if place.start is null then
    return rejected('not_found');
  end if;
  insert into checklist_items (id, checklist_id, text, done, due_on, position)
  select
    (item ->> 'itemId')::uuid, list, item ->> 'text', coalesce((item ->> 'done')::boolean, false),
    (item ->> 'dueOn')::date, place.start + place.step * (n - 1)
  from jsonb_array_elements(items) with ordinality as added (item, n)
  order by n;
  return outcome('applied');
end
$$;

-- The three-way rule for one field: the row against what the person started from and what they want.
-- `noop`, `applied`, `merged`, `conflict`, or null when the words have to be merged first.
create function decide(live jsonb, was jsonb, wanted jsonb, merge jsonb, can_merge boolean) returns text
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

create function op_item_set(list uuid, op jsonb, merge jsonb, actor uuid) returns jsonb
language plpgsql
as $$
declare
  item checklist_items;
  gone deleted_items;
  item_key constant uuid := (op ->> 'itemId')::uuid;
  text_was constant jsonb := op #> '{set,text,from}';
  text_to constant jsonb := op #> '{set,text,to}';
  due_was constant jsonb := op #> '{set,dueOn,from}';
  due_to constant jsonb := op #> '{set,dueOn,to}';
  done_to constant boolean := op #>> '{set,done,to}';
  live_text jsonb;
  live_due jsonb;
  text_how text := 'noop';
  due_how text := 'noop';
  done_how text := 'noop';
  new_text text;
  new_due date;
  conflict uuid;
begin
  select * into item from checklist_items where id = item_key and checklist_id = list;
  if not found then
    select * into gone from deleted_items where id = item_key and checklist_id = list;
    if not found then
      return rejected('not_found');
    end if;
    item := row(gone.id, gone.checklist_id, gone.text, gone.done, gone.due_on, gone.position);
  end if;
  live_text := to_jsonb(item.text);
  live_due := coalesce(to_jsonb(item.due_on), 'null');

  if text_to is not null then
    text_how := decide(live_text, text_was, text_to, merge, true);
  end if;
  if due_to is not null then
    due_how := decide(live_due, due_was, due_to, null, false);
  end if;
  if item.done <> done_to then
    done_how := 'applied';
  end if;
  if gone.id is not null and text_how = 'noop' and due_how = 'noop' and (done_how = 'noop' or done_to) then
    return outcome('dropped', 'item_deleted');
  end if;

  -- A person who goes on with a text that is kept aside changes what is kept, not what is live.
  if text_was <> text_to and (text_how is null or text_how in ('noop', 'conflict')) then
    conflict := extend_conflict(list, item_key, 'text', text_was, text_to, actor);
    if conflict is not null and text_how is distinct from 'noop' then
      text_how := 'extended';
    end if;
  end if;
  if text_how is null then
    return jsonb_build_object('needs', live_text);
  end if;
  if text_how = 'conflict' and not can_keep(list, item_key, 'text', text_to)
    or due_how = 'conflict' and not can_keep(list, item_key, 'dueOn', due_to)
  then
    return rejected('limit');
  end if;

  new_text := case text_how when 'applied' then text_to #>> '{}' when 'merged' then merge ->> 'value' else item.text end;
  new_due := case due_how when 'applied' then (due_to #>> '{}')::date else item.due_on end;
  if gone.id is not null then
    insert into checklist_items
    values (item.id, list, new_text, coalesce(done_to, item.done), new_due, item.position);
    conflict := open_conflict(
      list, item_key, 'alive', live_text, to_jsonb(new_text), 'null', actor, gone.deleted_by
    );
  else
    update checklist_items
    set text = new_text, done = coalesce(done_to, done), due_on = new_due
    where id = item_key
    and (text, done, due_on) is distinct from (new_text, coalesce(done_to, done), new_due);
  end if;

  if text_how = 'conflict' then
    conflict := open_conflict(
      list, item_key, 'text', text_was, to_jsonb(new_text), text_to, author_of(item_key, 'text'), actor
    );
  end if;
  if due_how = 'conflict' then
    conflict := coalesce(
      extend_conflict(list, item_key, 'dueOn', due_was, due_to, actor),
      open_conflict(list, item_key, 'dueOn', due_was, live_due, due_to, author_of(item_key, 'dueOn'), actor)
    );
  end if;

  return case
    when gone.id is not null or 'extended' = text_how or 'conflict' in (text_how, due_how)
      then outcome('conflict', "conflictId" => conflict)
    when text_how = 'merged' then outcome('merged', value => to_jsonb(new_text))
    when 'applied' in (text_how, due_how, done_how) then outcome('applied')
    else outcome('noop')
  end;
end
$$;

create function op_item_move(list uuid, op jsonb) returns jsonb
language plpgsql
as $$
declare
  item_key constant uuid := (op ->> 'itemId')::uuid;
  anchor constant uuid := (op ->> 'after')::uuid;
  previous uuid;
  place record;
begin
  if not exists (select from checklist_items where id = item_key and checklist_id = list) then
    return case
      when exists (select from deleted_items where id = item_key and checklist_id = list)
        then outcome('dropped', 'item_deleted')
      else rejected('not_found')
    end;
  end if;

  select other.id into previous
  from checklist_items as item
  join checklist_items as other
    on other.checklist_id = list and (other.position, other.id) < (item.position, item.id)
  where item.id = item_key
  order by other.position desc, other.id desc
  limit 1;
  if previous is not distinct from anchor then
    return outcome('noop');
  end if;

  place := place_after(list, anchor, 1, item_key);
  if place.start is null then
    return rejected('not_found');
  end if;
  update checklist_items set position = place.start where id = item_key;
  return outcome('applied');
end
$$;

create function op_item_delete(list uuid, op jsonb, actor uuid) returns jsonb
language plpgsql
as $$
declare
  item checklist_items;
  item_key constant uuid := (op ->> 'itemId')::uuid;
  seen constant jsonb := op -> 'seen';
begin
  select * into item from checklist_items where id = item_key and checklist_id = list;
  if not found then
    return case
      when exists (select from deleted_items where id = item_key and checklist_id = list) then outcome('noop')
      else rejected('not_found')
    end;
  end if;
  -- A tick that the person did not see goes with the item, an un-tick is an edit.
  if item.text = seen ->> 'text'
    and item.due_on is not distinct from (seen ->> 'dueOn')::date
    and (item.done or not (seen ->> 'done')::boolean)
  then
    delete from checklist_items where id = item_key;
    return outcome('applied');
  end if;
  if not can_keep(list, item_key, 'alive', 'null') then
    return rejected('limit');
  end if;
  return outcome('conflict', "conflictId" => open_conflict(
    list, item_key, 'alive', seen -> 'text', to_jsonb(item.text), 'null', author_of(item_key, 'text'), actor
  ));
end
$$;

create function op_item_restore(list uuid, op jsonb) returns jsonb
language plpgsql
as $$
declare
  item_key constant uuid := (op ->> 'itemId')::uuid;
begin
  if exists (select from checklist_items where id = item_key and checklist_id = list) then
    return outcome('noop');
  end if;
  if 1000 <= (select count(*) from checklist_items where checklist_id = list) then
    return rejected('limit');
  end if;
  insert into checklist_items
  select id, checklist_id, text, done, due_on, position
  from deleted_items
  where id = item_key and checklist_id = list;
  return case when found then outcome('applied') else rejected('not_found') end;
end
$$;

create function op_list_rename(list uuid, op jsonb, merge jsonb, actor uuid) returns jsonb
language plpgsql
as $$
declare
  live constant jsonb := (select to_jsonb(title) from checklists where id = list);
  how constant text := decide(live, op -> 'from', op -> 'to', merge, true);
  new_title constant text := case how when 'applied' then op ->> 'to' when 'merged' then merge ->> 'value' end;
  conflict uuid;
begin
  if how in ('applied', 'merged') then
    update checklists set title = new_title where id = list and title <> new_title;
    return outcome(how, value => case how when 'merged' then to_jsonb(new_title) end);
  end if;
  if op -> 'from' <> op -> 'to' then
    conflict := extend_conflict(list, null, 'title', op -> 'from', op -> 'to', actor);
  end if;
  if how = 'noop' then
    return outcome('noop');
  end if;
  if conflict is null and how is null then
    return jsonb_build_object('needs', live);
  end if;
  if conflict is null and not can_keep(list, null, 'title', op -> 'to') then
    return rejected('limit');
  end if;
  return outcome('conflict', "conflictId" => coalesce(conflict, open_conflict(
    list, null, 'title', op -> 'from', live, op -> 'to',
    (
      select actor_id
      from events
      where checklist_id = list and kind in ('checklist.created', 'checklist.updated')
      order by rev desc
      limit 1
    ),
    actor
  )));
end
$$;

-- Whether anybody else changed a list after a revision. In a transaction of many operations some changes
-- are noted but not numbered yet.
create function is_changed_since(list uuid, seen bigint, actor uuid) returns boolean
language sql stable
as $$
  select exists (
    select from events
    where checklist_id = list and rev > seen and actor_id is distinct from actor
  ) or exists (
    select from pending_events
    where xact = pg_current_xact_id_if_assigned() and checklist_id = list and actor_id is distinct from actor
  )
$$;

-- Puts title and items back to what they were at a revision; what people did since stays in the log.
create function op_list_restore_to(list uuid, op jsonb, actor uuid) returns jsonb
language plpgsql
as $$
declare
  target constant bigint := (op ->> 'rev')::bigint;
  head constant bigint := (select rev from checklist_revs where checklist_id = list);
  was record;
  old_title text;
begin
  if exists (select from pending_events where xact = pg_current_xact_id_if_assigned() and checklist_id = list) then
    return '{"needs": null}'; -- to be first in a transaction: the log must tell everything
  end if;
  if is_changed_since(list, (op ->> 'seenRev')::bigint, actor) then
    return rejected('changed_since');
  end if;
  if target > head then
    return rejected('invalid');
  end if;
  if target = head then
    return outcome('noop');
  end if;
  -- The changes are gapless: with the first one after the target, all are there.
  if not exists (select from events where checklist_id = list and rev = target + 1) then
    return rejected('not_found');
  end if;

  for was in
    select distinct on (item_id) item_id, before
    from events
    where checklist_id = list and rev > target and kind in ('item.added', 'item.updated', 'item.deleted')
    order by item_id, rev
  loop
    if was.before is null then
      delete from checklist_items where id = was.item_id and checklist_id = list;
    else
      insert into checklist_items (id, checklist_id, text, done, due_on, position)
      values (
        was.item_id, list, was.before ->> 'text', (was.before ->> 'done')::boolean,
        (was.before ->> 'dueOn')::date, (was.before ->> 'position')::double precision
      )
      on conflict (id) do update
      set text = excluded.text, done = excluded.done, due_on = excluded.due_on, position = excluded.position;
    end if;
  end loop;

  select before ->> 'title' into old_title
  from events
  where checklist_id = list and rev > target and kind = 'checklist.updated'
  order by rev
  limit 1;
  update checklists set title = old_title where id = list and title <> old_title;
  return outcome('applied');
end
$$;

create function op_conflict_resolve(list uuid, op jsonb) returns jsonb
language plpgsql
as $$
declare
  conflict conflicts;
  choice constant text := op ->> 'choice';
  live jsonb;
  chosen jsonb;
  added jsonb;
begin
  select * into conflict from conflicts where id = (op ->> 'conflictId')::uuid and checklist_id = list;
  if not found then
    return rejected('not_found');
  end if;
  if conflict.resolved_at is not null then
    return outcome('noop', 'already_resolved');
  end if;
  if (conflict.field = 'alive') <> (choice in ('keep', 'delete')) or (choice = 'both' and conflict.field <> 'text') then
    return rejected('invalid');
  end if;
  live := case conflict.field
    when 'title' then (select to_jsonb(title) from checklists where id = list)
    when 'dueOn' then (select coalesce(to_jsonb(due_on), 'null') from checklist_items where id = conflict.item_id)
    else (select to_jsonb(text) from checklist_items where id = conflict.item_id)
  end;
  if live is distinct from op -> 'seen' then
    return rejected('stale');
  end if;

  if choice = 'both' then
    added := op_item_add(list, jsonb_build_object(
      'itemId', op -> 'newItemId', 'text', conflict.theirs, 'after', conflict.item_id
    ));
    if added ->> 'outcome' <> 'applied' then
      return added;
    end if;
  end if;
  update conflicts set resolved_at = now() where id = conflict.id;
  if choice = 'delete' then
    delete from checklist_items where id = conflict.item_id;
  elsif choice in ('theirs', 'custom') then
    chosen := case choice when 'theirs' then conflict.theirs else op -> 'value' end;
    case conflict.field
      when 'title' then
        update checklists set title = chosen #>> '{}' where id = list and title <> chosen #>> '{}';
      when 'dueOn' then
        update checklist_items set due_on = (chosen #>> '{}')::date where id = conflict.item_id;
      else
        update checklist_items set text = chosen #>> '{}' where id = conflict.item_id;
    end case;
  end if;
  return outcome('applied');
end
$$;

create function apply_operation(list checklists, op jsonb, merge jsonb, actor uuid) returns jsonb
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
create function decide_operation(entry jsonb, decided jsonb) returns jsonb
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

  perform set_config('app.actor', actor::text, true);
  perform set_config('app.source', entry ->> 'source', true);
  perform set_config('app.op', op ->> 'opId', true);
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
create function apply_operations(batch jsonb) returns jsonb
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
