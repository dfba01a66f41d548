-- The JSON functions are stable, as jsonb_build_object is: otherwise PostgreSQL would not inline them.

create or replace function item_json(item checklist_items) returns jsonb
language sql stable
as $$
  select jsonb_build_object(
    'id', item.id, 'text', item.text, 'done', item.done, 'dueOn', item.due_on, 'position', item.position
  )
$$;

create or replace function checklist_json(list checklists) returns jsonb
language sql stable
as $$
  select jsonb_build_object('id', list.id, 'title', list.title, 'deleted', list.deleted_at is not null)
$$;

create or replace function conflict_json(conflict conflicts) returns jsonb
language sql stable
as $$
  select jsonb_build_object(
    'id', conflict.id, 'itemId', conflict.item_id, 'field', conflict.field,
    'base', conflict.base, 'ours', conflict.ours, 'theirs', conflict.theirs,
    'oursBy', conflict.ours_by, 'theirsBy', conflict.theirs_by, 'openedRev', conflict.opened_rev
  )
$$;

create or replace function place_item_last() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
-- PostgreSQL may plan the query while checklist_items is empty, and keep that plan while a statement inserts thousands.
set enable_seqscan = off
as $$
begin
  new.position := coalesce(
    (select max(position) from checklist_items where checklist_id = new.checklist_id), 0
  ) + 1024;
  return new;
end
$$;

create or replace function log_checklist() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
  if tg_op = 'DELETE' and not exists (select from projects where id = old.project_id) then
    return null; -- project.deleted includes its checklists
  end if;
  perform log_change(
    case
      when tg_op = 'INSERT' then 'checklist.created'
      when tg_op = 'DELETE' then 'checklist.deleted'
      when old.deleted_at is null and new.deleted_at is not null then 'checklist.deleted'
      when old.deleted_at is not null and new.deleted_at is null then 'checklist.restored'
      else 'checklist.updated'
    end,
    project_id => coalesce(new.project_id, old.project_id),
    checklist_id => coalesce(new.id, old.id),
    before => case when tg_op <> 'INSERT' then checklist_json(old) end,
    after => case when tg_op <> 'DELETE' then checklist_json(new) end
  );
  return null;
end
$$;

-- Items that are deleted together with their list are not logged, because checklist.deleted includes them.
create or replace function log_item() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
  list uuid := coalesce(new.checklist_id, old.checklist_id);
  project uuid;
begin
  select project_id into project from checklists where id = list;
  if not found then
    return null;
  end if;
  perform log_change(
    case tg_op when 'INSERT' then 'item.added' when 'UPDATE' then 'item.updated' else 'item.deleted' end,
    project_id => project,
    checklist_id => list,
    item_id => coalesce(new.id, old.id),
    before => case when tg_op <> 'INSERT' then item_json(old) end,
    after => case when tg_op <> 'DELETE' then item_json(new) end
  );
  if tg_op = 'INSERT' then
    delete from deleted_items where id = new.id;
  elsif tg_op = 'DELETE' then
    insert into deleted_items (id, checklist_id, text, done, due_on, position, deleted_by)
    values (
      old.id, old.checklist_id, old.text, old.done, old.due_on, old.position,
      acting_user()
    );
    update conflicts set resolved_at = now()
    where checklist_id = list and item_id = old.id and resolved_at is null;
  end if;
  return null;
end
$$;

create or replace function log_conflict() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
  perform log_change(
    case
      when tg_op = 'INSERT' then 'conflict.opened'
      when new.resolved_at is null then 'conflict.updated'
      else 'conflict.resolved'
    end,
    project_id => (select project_id from checklists where id = new.checklist_id),
    checklist_id => new.checklist_id,
    item_id => new.item_id,
    -- `base` may be long, and an update never changes it: it is only in `after`
    before => case
      when tg_op = 'INSERT' then null
      when new.resolved_at is null then conflict_json(old) - 'base'
      else conflict_json(old)
    end,
    after => case when new.resolved_at is null then conflict_json(new) end
  );
  return null;
end
$$;

-- Copies the new live value of a field to its open conflicts, and resolves those that keep the same value. The triggers
-- that call this function sort after "1_log", so that the change itself is logged first.
create or replace function follow_live(list uuid, item uuid, fields text[], live jsonb) returns void
language sql
as $$
  update conflicts
  set ours = live,
    ours_by = acting_user(),
    resolved_at = case when theirs = live then now() end
  where checklist_id = list
  and item_id is not distinct from item
  and field = any (fields)
  and resolved_at is null
$$;

create or replace function follow_item() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
  if old.text <> new.text then
    perform follow_live(new.checklist_id, new.id, '{text,alive}', to_jsonb(new.text));
  end if;
  if old.due_on is distinct from new.due_on then
    perform follow_live(new.checklist_id, new.id, '{dueOn}', coalesce(to_jsonb(new.due_on), 'null'));
  end if;
  return null;
end
$$;

create or replace function follow_title() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
  perform follow_live(new.id, null, '{title}', to_jsonb(new.title));
  return null;
end
$$;
