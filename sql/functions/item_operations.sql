create or replace function op_item_add(list uuid, op jsonb) returns jsonb
language plpgsql
as $$
declare
  items constant jsonb := coalesce(op -> 'items', jsonb_build_array(op));
  item_count constant integer := jsonb_array_length(items);
  ids constant uuid[] := array(select (item ->> 'itemId')::uuid from jsonb_array_elements(items) as item);
  ids_used integer;
  ids_here integer;
  place record;
begin
  select count(*), count(*) filter (where checklist_id = list) into ids_used, ids_here
  from (
    select checklist_id from checklist_items where id = any (ids)
    union all
    select checklist_id from deleted_items where id = any (ids)
  ) as earlier;
  if item_count > 1 and item_count <> (select count(distinct id) from unnest(ids) as id) then
    return rejected('invalid');
  elsif ids_here = item_count then
    return outcome('noop');
  elsif ids_used > 0 then
    return rejected('invalid');
  elsif item_count > room_for_items(list) then
    return rejected('limit');
  end if;

  place := place_below(list, (op ->> 'after')::uuid, item_count);
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

-- The limit is 1,000 items per list.
create or replace function room_for_items(list uuid) returns integer
language plpgsql stable
as $$
begin
  return 1000 - (select count(*) from checklist_items where checklist_id = list);
end
$$;

-- An edit of a deleted item restores the item and opens a conflict of the field `alive`.
create or replace function op_item_set(list uuid, op jsonb, merge jsonb, actor uuid) returns jsonb
language plpgsql
as $$
declare
  item_key constant uuid := (op ->> 'itemId')::uuid;
  edit constant jsonb := op -> 'set';
  text_from constant jsonb := edit #> '{text,from}';
  text_to constant jsonb := edit #> '{text,to}';
  done_to constant boolean := edit #>> '{done,to}';
  item checklist_items;
  deleted deleted_items;
  text_outcome text := 'noop';
  due_outcome text := 'noop';
  extended uuid;
begin
  -- The usual case in one statement: the live values are those from which the client started.
  if (text_from = text_to or edit #> '{dueOn,from}' = edit #> '{dueOn,to}') is not true then
    update checklist_items
    set
      text = coalesce(text_to #>> '{}', text),
      done = coalesce(done_to, done),
      due_on = case when edit ? 'dueOn' then (edit #>> '{dueOn,to}')::date else due_on end
    where id = item_key
    and checklist_id = list
    and (text = text_from #>> '{}') is not false
    and (not edit ? 'dueOn' or coalesce(to_jsonb(due_on), 'null') = edit #> '{dueOn,from}')
    and (text_from is not null or edit ? 'dueOn' or done <> done_to);
    if found then
      return outcome('applied');
    end if;
  end if;

  select * into item from checklist_items where id = item_key and checklist_id = list;
  if not found then
    select * into deleted from deleted_items where id = item_key and checklist_id = list;
    if not found then
      return rejected('not_found');
    end if;
    item := row(deleted.id, deleted.checklist_id, deleted.text, deleted.done, deleted.due_on, deleted.position);
  end if;
  if edit ? 'text' then
    text_outcome := decide_text(to_jsonb(item.text), text_from, text_to, merge);
  end if;
  if edit ? 'dueOn' then
    due_outcome := decide_day(coalesce(to_jsonb(item.due_on), 'null'), edit #> '{dueOn,from}', edit #> '{dueOn,to}');
  end if;
  if deleted.id is not null and text_outcome = 'noop' and due_outcome = 'noop'
    and (item.done = done_to or done_to) is not false
  then
    return outcome('dropped', 'item_deleted');
  end if;

  -- If a conflict keeps the text from which the edit starts, the edit changes the kept text and not the live text.
  if text_from <> text_to and (text_outcome is null or text_outcome in ('noop', 'conflict')) then
    extended := extend_conflict(list, item_key, 'text', text_from, text_to, actor);
    if extended is not null and text_outcome is distinct from 'noop' then
      text_outcome := 'kept';
    end if;
  end if;
  if text_outcome is null then
    return jsonb_build_object('needs', item.text);
  end if;
  return write_item_set(item, deleted, edit, merge, actor, text_outcome, due_outcome, extended);
end
$$;

-- `extended` is the id of the conflict whose kept text the edit has changed, if there is one.
create or replace function write_item_set(
  item checklist_items, deleted deleted_items, edit jsonb, merge jsonb, actor uuid,
  text_outcome text, due_outcome text, extended uuid
) returns jsonb
language plpgsql
as $$
declare
  list constant uuid := item.checklist_id;
  text_to constant jsonb := edit #> '{text,to}';
  due_to constant jsonb := edit #> '{dueOn,to}';
  conflict_id uuid := extended;
begin
  if text_outcome = 'conflict' and not can_keep(list, item.id, 'text', text_to)
    or due_outcome = 'conflict' and not can_keep(list, item.id, 'dueOn', due_to)
    or deleted.id is not null and (not can_keep(list, item.id, 'alive', 'null') or room_for_items(list) < 1)
  then
    return rejected('limit');
  end if;

  item.text := case text_outcome
    when 'applied' then text_to #>> '{}' when 'merged' then merge ->> 'value' else item.text
  end;
  item.done := coalesce((edit #>> '{done,to}')::boolean, item.done);
  item.due_on := case due_outcome when 'applied' then (due_to #>> '{}')::date else item.due_on end;
  if deleted.id is not null then
    insert into checklist_items values (item.*);
    conflict_id := open_conflict(
      list, item.id, 'alive', to_jsonb(deleted.text), to_jsonb(item.text), 'null', actor, deleted.deleted_by
    );
  else
    update checklist_items as live
    set text = item.text, done = item.done, due_on = item.due_on
    where live.id = item.id
    and (live.text, live.done, live.due_on) is distinct from (item.text, item.done, item.due_on);
  end if;
  if text_outcome = 'conflict' then
    conflict_id := keep_edit(item, 'text', to_jsonb(item.text), edit -> 'text', actor);
  end if;
  if due_outcome = 'conflict' then
    conflict_id := coalesce(
      extend_conflict(list, item.id, 'dueOn', edit #> '{dueOn,from}', due_to, actor),
      keep_edit(item, 'dueOn', coalesce(to_jsonb(item.due_on), 'null'), edit -> 'dueOn', actor)
    );
  end if;

  return case
    when deleted.id is not null or text_outcome in ('kept', 'conflict') or due_outcome = 'conflict'
      then outcome('conflict', "conflictId" => conflict_id)
    when text_outcome = 'merged' then merged(merge)
    else outcome('applied')
  end;
end
$$;

-- Opens a conflict that keeps the value `to` of an edit {from, to} beside the live value of the field.
create or replace function keep_edit(item checklist_items, field text, live jsonb, edit jsonb, actor uuid) returns uuid
language plpgsql
as $$
begin
  return open_conflict(
    item.checklist_id, item.id, field, edit -> 'from', live, edit -> 'to', author_of(item.id, field), actor
  );
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
    return deleted_or_not_found(list, item_key, outcome('dropped', 'item_deleted'));
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
    return deleted_or_not_found(list, item_key, outcome('noop'));
  end if;
  -- An item that was ticked since the user saw it is deleted. An item that was unticked counts as edited.
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

create or replace function deleted_or_not_found(list uuid, item uuid, if_deleted jsonb) returns jsonb
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
