-- Functions for conflicts. A conflict is two values of one field, between which a user must choose.

-- Returns null when plain SQL wrote the live value.
create or replace function author_of(item uuid, field text) returns uuid
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

-- Returns whether a conflict may be opened: at most 20 per item and 200 per list. A value that an open conflict already
-- keeps is always allowed, because it opens no other conflict.
create or replace function can_keep(list uuid, item uuid, field text, theirs jsonb) returns boolean
language sql stable
as $$
  select
    (count(*) < 200 and count(*) filter (where item_id is not distinct from item) < 20)
    or bool_or(
      item_id is not distinct from item and conflicts.field = can_keep.field and conflicts.theirs = can_keep.theirs
    )
  from conflicts
  where checklist_id = list and resolved_at is null
$$;

-- Returns the id of the open conflict that already keeps the same value, if there is one.
create or replace function open_conflict(
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

-- Changes the value that a conflict keeps from `was` to `value`, when the user who wrote the value edits it again.
-- Returns null when no open conflict of this user keeps `was`.
create or replace function extend_conflict(
  list uuid, item uuid, field text, was jsonb, value jsonb, actor uuid
) returns uuid
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

-- For a custom value, `values` in the operation contains its stored form for each field that accepts it.
create or replace function op_conflict_resolve(list uuid, op jsonb) returns jsonb
language plpgsql
as $$
declare
  conflict conflicts;
  choice constant text := op ->> 'choice';
  live jsonb;
begin
  select * into conflict from conflicts where id = (op ->> 'conflictId')::uuid and checklist_id = list;
  if not found then
    return rejected('not_found');
  end if;
  if conflict.resolved_at is not null then
    return outcome('noop', 'already_resolved');
  end if;
  if (conflict.field = 'alive') <> (choice in ('keep', 'delete'))
    or (choice = 'both' and conflict.field <> 'text')
    or (choice = 'custom' and not op -> 'values' ? conflict.field)
  then
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
    declare
      added constant jsonb := op_item_add(list, jsonb_build_object(
        'itemId', op -> 'newItemId', 'text', conflict.theirs, 'after', conflict.item_id
      ));
    begin
      if added ->> 'outcome' <> 'applied' then
        return rejected(coalesce(added ->> 'code', 'invalid'));
      end if;
    end;
  end if;

  update conflicts set resolved_at = now() where id = conflict.id;
  if choice = 'delete' then
    delete from checklist_items where id = conflict.item_id;
  elsif choice in ('theirs', 'custom') then
    perform write_chosen(
      conflict, case choice when 'theirs' then conflict.theirs else op -> 'values' -> conflict.field end
    );
  end if;
  return outcome('applied');
end
$$;

create or replace function write_chosen(conflict conflicts, chosen jsonb) returns void
language plpgsql
as $$
begin
  case conflict.field
    when 'title' then
      update checklists set title = chosen #>> '{}' where id = conflict.checklist_id and title <> chosen #>> '{}';
    when 'dueOn' then
      update checklist_items set due_on = (chosen #>> '{}')::date where id = conflict.item_id;
    else
      update checklist_items set text = chosen #>> '{}' where id = conflict.item_id;
  end case;
end
$$;
