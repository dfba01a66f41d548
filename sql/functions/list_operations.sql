-- What an operation does to a whole list, and to its conflicts.

create or replace function op_list_rename(list uuid, op jsonb, merge jsonb, actor uuid) returns jsonb
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
create or replace function is_changed_since(list uuid, seen bigint, actor uuid) returns boolean
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
create or replace function op_list_restore_to(list uuid, op jsonb, actor uuid) returns jsonb
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

create or replace function op_conflict_resolve(list uuid, op jsonb) returns jsonb
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
