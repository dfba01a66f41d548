-- What people do to a checklist, decided and written in one statement: apply_operations in 0008.
--
-- Every operation carries the values it started from, so nothing here looks at history. Values that differ
-- both ways go back to the service as {"needs": live}: it merges the words and sends the operation again with
-- {"live", "value"}; a null value says that only a person can choose.

-- What was decided, so that an operation that is sent again changes nothing and answers the same.
create table operations (
  checklist_id uuid not null,
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
