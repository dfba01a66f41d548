-- Who last gave an item the text or date that is live.
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

-- Whether one more value may be kept beside the live one of an item (null: of the title). The same value is
-- kept once, so it always may.
create or replace function can_keep(list uuid, item uuid, field text, theirs jsonb) returns boolean
language sql stable
as $$
  select count(*) < 20 or bool_or(conflicts.field = can_keep.field and conflicts.theirs = can_keep.theirs)
  from conflicts
  where checklist_id = list and item_id is not distinct from item and resolved_at is null
$$;

-- Opens a conflict, or answers the open one that keeps the same value already.
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

-- The rest of an edit that was kept aside: the same person goes on from the value that is in the conflict.
-- Having come to what is live, it is none any more.
create or replace function extend_conflict(list uuid, item uuid, field text, was jsonb, value jsonb, actor uuid) returns uuid
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
