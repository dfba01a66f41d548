-- What an operation does to items.

create or replace function op_item_add(list uuid, op jsonb) returns jsonb
language plpgsql
as $$
declare
  items constant jsonb := coalesce(op -> 'items', jsonb_build_array(op));
  many constant integer := jsonb_array_length(items);
  ids constant uuid[] := array(select (item ->> 'itemId')::uuid from jsonb_array_elements(items) as item);
  known integer;
  known_here integer;
  place record;
begin
  select count(*), count(*) filter (where checklist_id = list) into known, known_here
  from (
    select checklist_id from checklist_items where id = any (ids)
    union all
    select checklist_id from deleted_items where id = any (ids)
  ) as earlier;
  if many > 1 and many <> (select count(distinct id) from unnest(ids) as id) then
    return rejected('invalid');
  elsif known_here = many then
    return outcome('noop');
  elsif known > 0 then
    return rejected('invalid');
  elsif many > room_for_items(list) then
    return rejected('limit');
  end if;

  place := place_below(list, (op ->> 'after')::uuid, many);
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

-- Returns how many more items a list may hold, of 1,000.
create or replace function room_for_items(list uuid) returns integer
language plpgsql stable
as $$
begin
  return 1000 - (select count(*) from checklist_items where checklist_id = list);
end
$$;

-- Changes text, tick and date of an item, each by the three-way rule of `decide`. An edit of a deleted item brings
-- it back with an `alive` conflict.
create or replace function op_item_set(list uuid, op jsonb, merge jsonb, actor uuid) returns jsonb
language plpgsql
as $$
declare
  item_key constant uuid := (op ->> 'itemId')::uuid;
  text_was constant jsonb := op #> '{set,text,from}';
  text_to constant jsonb := op #> '{set,text,to}';
  due_was constant jsonb := op #> '{set,dueOn,from}';
  due_to constant jsonb := op #> '{set,dueOn,to}';
  done_to constant boolean := op #>> '{set,done,to}';
  item checklist_items;
  deleted deleted_items;
  live_text jsonb;
  live_due jsonb;
  text_how text := 'noop';
  due_how text := 'noop';
  kept uuid;
begin
  select * into item from checklist_items where id = item_key and checklist_id = list;
  if not found then
    select * into deleted from deleted_items where id = item_key and checklist_id = list;
    if not found then
      return rejected('not_found');
    end if;
    item := row(deleted.id, deleted.checklist_id, deleted.text, deleted.done, deleted.due_on, deleted.position);
  end if;
  live_text := to_jsonb(item.text);
  live_due := coalesce(to_jsonb(item.due_on), 'null');
  if text_to is not null then
    text_how := decide(live_text, text_was, text_to, merge);
  end if;
  if due_to is not null then
    due_how := decide_date(live_due, due_was, due_to);
  end if;
  if deleted.id is not null and text_how = 'noop' and due_how = 'noop' and (item.done = done_to or done_to) is not false then
    return outcome('dropped', 'item_deleted');
  end if;

  -- A person who goes on with a text that is kept in a conflict changes what is kept, not what is live.
  if text_was <> text_to and (text_how is null or text_how in ('noop', 'conflict')) then
    kept := extend_conflict(list, item_key, 'text', text_was, text_to, actor);
    if kept is not null and text_how is distinct from 'noop' then
      text_how := 'kept';
    end if;
  end if;
  if text_how is null then
    return jsonb_build_object('needs', live_text);
  end if;
  if text_how = 'conflict' and not can_keep(list, item_key, 'text', text_to)
    or due_how = 'conflict' and not can_keep(list, item_key, 'dueOn', due_to)
    or deleted.id is not null and (not can_keep(list, item_key, 'alive', 'null') or room_for_items(list) < 1)
  then
    return rejected('limit');
  end if;

  item.text := case text_how when 'applied' then text_to #>> '{}' when 'merged' then merge ->> 'value' else item.text end;
  item.done := coalesce(done_to, item.done);
  item.due_on := case due_how when 'applied' then (due_to #>> '{}')::date else item.due_on end;
  if deleted.id is not null then
    insert into checklist_items values (item.*);
    kept := open_conflict(list, item_key, 'alive', live_text, to_jsonb(item.text), 'null', actor, deleted.deleted_by);
  else
    update checklist_items as live
    set text = item.text, done = item.done, due_on = item.due_on
    where id = item_key
    and (live.text, live.done, live.due_on) is distinct from (item.text, item.done, item.due_on);
  end if;
  if text_how = 'conflict' then
    kept := open_conflict(
      list, item_key, 'text', text_was, to_jsonb(item.text), text_to, author_of(item_key, 'text'), actor
    );
  end if;
  if due_how = 'conflict' then
    kept := coalesce(
      extend_conflict(list, item_key, 'dueOn', due_was, due_to, actor),
      open_conflict(list, item_key, 'dueOn', due_was, live_due, due_to, author_of(item_key, 'dueOn'), actor)
    );
  end if;

  return case
    when deleted.id is not null or text_how in ('kept', 'conflict') or due_how = 'conflict'
      then outcome('conflict', "conflictId" => kept)
    when text_how = 'merged' then merged(merge)
    else outcome('applied')
  end;
end
$$;

create or replace function op_item_move(list uuid, op jsonb) returns jsonb
language plpgsql
as $$
declare
  item_key constant uuid := (op ->> 'itemId')::uuid;
  anchor constant uuid := (op ->> 'after')::uuid;
  here record;
  place record;
begin
  if not exists (select from checklist_items where id = item_key and checklist_id = list) then
    return missing(list, item_key, outcome('dropped', 'item_deleted'));
  end if;
  here := place_of(list, anchor);
  if here.place is null then
    return rejected('not_found');
  end if;
  if (next_below(list, here.place, here.place_id, null)).place_id = item_key then
    return outcome('noop');
  end if;
  place := place_below(list, anchor, 1, item_key);
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
    return missing(list, item_key, outcome('noop'));
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

-- Returns `if_deleted` for an item that was deleted, else that the list has never had it.
create or replace function missing(list uuid, item uuid, if_deleted jsonb) returns jsonb
language plpgsql stable
as $$
begin
  return case
    when exists (select from deleted_items where id = item and checklist_id = list) then if_deleted
    else rejected('not_found')
  end;
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
  if room_for_items(list) < 1 then
    return rejected('limit');
  end if;
  insert into checklist_items
  select id, checklist_id, text, done, due_on, position
  from deleted_items
  where id = item_key and checklist_id = list;
  return case when found then outcome('applied') else rejected('not_found') end;
end
$$;
