create or replace function op_list_rename(list uuid, op jsonb, merge jsonb, actor uuid) returns jsonb
language plpgsql
as $$
declare
  was constant jsonb := op -> 'from';
  wanted constant jsonb := op -> 'to';
  live constant jsonb := (select to_jsonb(title) from checklists where id = list);
  title_outcome constant text := decide_text(live, was, wanted, merge);
  new_title constant text := case title_outcome
    when 'applied' then op ->> 'to' when 'merged' then merge ->> 'value'
  end;
  extended uuid;
begin
  if title_outcome in ('applied', 'merged') then
    update checklists set title = new_title where id = list and title <> new_title;
    return case title_outcome when 'merged' then merged(merge) else outcome('applied') end;
  end if;
  if was <> wanted then
    extended := extend_conflict(list, null, 'title', was, wanted, actor);
  end if;
  if title_outcome = 'noop' then
    return outcome('noop');
  elsif extended is not null then
    return outcome('conflict', "conflictId" => extended);
  elsif title_outcome is null then
    return jsonb_build_object('needs', live);
  elsif not can_keep(list, null, 'title', wanted) then
    return rejected('limit');
  end if;
  return outcome('conflict', "conflictId" => open_conflict(
    list, null, 'title', was, live, wanted,
    (
      select actor_id
      from events
      where checklist_id = list and kind in ('checklist.created', 'checklist.updated')
      order by rev desc
      limit 1
    ),
    actor
  ));
end
$$;

-- Also checks the changes of the present transaction, which are still pending and have no revision.
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

-- Later changes stay in the log. Leaves out an item whose id another list uses now.
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
    return '{"needs": null}'; -- pending changes are not in the log yet
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
  -- Revisions have no gaps: if revision `target + 1` is stored, all later revisions are stored too.
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
      set text = excluded.text, done = excluded.done, due_on = excluded.due_on, position = excluded.position
      where checklist_items.checklist_id = list;
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
