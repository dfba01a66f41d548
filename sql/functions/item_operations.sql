-- What an operation does to items and to their order.

-- Gives every item of a list, and every deleted one, its place in steps of 1024.
create or replace function renumber(list uuid) returns void
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
create or replace function place_after(
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

create or replace function op_item_add(list uuid, op jsonb) returns jsonb
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

create or replace function op_item_set(list uuid, op jsonb, merge jsonb, actor uuid) returns jsonb
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

create or replace function op_item_move(list uuid, op jsonb) returns jsonb
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

create or replace function op_item_delete(list uuid, op jsonb, actor uuid) returns jsonb
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

create or replace function op_item_restore(list uuid, op jsonb) returns jsonb
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
