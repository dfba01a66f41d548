-- Checklists, their items, what was deleted, and what people must choose between.

create table checklists (
  id uuid primary key default gen_random_uuid(),
  project_id uuid not null references projects on delete cascade,
  title text not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  constraint checklists_title_length check (length(title) between 1 and 200 and title = btrim(title))
);

create index checklists_project on checklists (project_id, id);

create table checklist_items (
  id uuid primary key default gen_random_uuid(),
  checklist_id uuid not null references checklists on delete cascade,
  text text not null,
  done boolean not null default false,
  due_on date,
  -- order within the list, ties by id; without one an insert goes last
  position double precision not null,
  -- the form that the service brings every text into, or what people saw would not equal what is live
  constraint checklist_items_text check (
    length(text) between 1 and 2000
    and text = rtrim(text, U&' \000a\00a0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200a\2028\2029\202f\205f\3000\feff')
    and text collate "C" !~ '[\x01-\x09\x0b-\x1f\x7f-\x9f]'
    and text is nfc normalized
  ),
  constraint checklist_items_due_on check (due_on between '0001-01-01' and '9999-12-31'),
  -- NaN sorts above infinity
  constraint checklist_items_position check (position > '-infinity' and position < 'infinity')
);

create index checklist_items_order on checklist_items (checklist_id, position, id);

-- The place and content of every deleted item: restored from here, and an anchor that stands for its place.
create table deleted_items (
  like checklist_items including constraints,
  deleted_by uuid,
  deleted_at timestamptz not null default now(),
  primary key (id),
  foreign key (checklist_id) references checklists on delete cascade
);

create index deleted_items_checklist on deleted_items (checklist_id, position);

-- Two values of one field that only a person can choose between. `ours` is what is live.
create table conflicts (
  id uuid primary key default gen_random_uuid(),
  checklist_id uuid not null references checklists on delete cascade,
  -- null: the title of the list
  item_id uuid,
  field text not null,
  base jsonb,
  ours jsonb,
  theirs jsonb,
  ours_by uuid,
  theirs_by uuid,
  opened_rev bigint,
  -- kept for a while, so that who answers second is told so
  resolved_at timestamptz,
  constraint conflicts_field check (field in ('text', 'title', 'dueOn', 'alive')),
  constraint conflicts_item check ((item_id is null) = (field = 'title'))
);

create index conflicts_open on conflicts (checklist_id, item_id) where resolved_at is null;

-- The shapes that clients see, in snapshots as in events. Stable, as jsonb_build_object is, or they are not inlined.

create function item_json(item checklist_items) returns jsonb
language sql stable
as $$
  select jsonb_build_object(
    'id', item.id, 'text', item.text, 'done', item.done, 'dueOn', item.due_on, 'position', item.position
  )
$$;

create function checklist_json(list checklists) returns jsonb
language sql stable
as $$
  select jsonb_build_object('id', list.id, 'title', list.title, 'deleted', list.deleted_at is not null)
$$;

create function conflict_json(conflict conflicts) returns jsonb
language sql stable
as $$
  select jsonb_build_object(
    'id', conflict.id, 'itemId', conflict.item_id, 'field', conflict.field,
    'base', conflict.base, 'ours', conflict.ours, 'theirs', conflict.theirs,
    'oursBy', conflict.ours_by, 'theirsBy', conflict.theirs_by, 'openedRev', conflict.opened_rev
  )
$$;

create function place_item_last() returns trigger
language plpgsql
as $$
begin
  new.position := coalesce(
    (select max(position) from checklist_items where checklist_id = new.checklist_id), 0
  ) + 1024;
  return new;
end
$$;

create trigger place_item_last before insert on checklist_items
for each row when (new.position is null)
execute function place_item_last();

create function log_checklist() returns trigger
language plpgsql
as $$
begin
  if tg_op = 'DELETE' and not exists (select from projects where id = old.project_id) then
    return null; -- project.deleted says it
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

create trigger "Log" after insert or delete on checklists for each row execute function log_checklist();
create trigger "LogUpdate" after update of title, deleted_at on checklists
for each row when (
  old.title is distinct from new.title or (old.deleted_at is null) <> (new.deleted_at is null)
)
execute function log_checklist();

-- Items and conflicts that go with their list are told by the list.
create function log_item() returns trigger
language plpgsql
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
      nullif(current_setting('app.actor', true), '')::uuid
    );
    update conflicts set resolved_at = now()
    where checklist_id = list and item_id = old.id and resolved_at is null;
  end if;
  return null;
end
$$;

create trigger "Log" after insert or delete on checklist_items for each row execute function log_item();
create trigger "LogUpdate" after update of text, done, due_on, position on checklist_items
for each row when ((old.text, old.done, old.due_on, old.position) is distinct from (new.text, new.done, new.due_on, new.position))
execute function log_item();

create function log_conflict() returns trigger
language plpgsql
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
    before => case when tg_op = 'UPDATE' then conflict_json(old) end,
    after => case when new.resolved_at is null then conflict_json(new) end
  );
  return null;
end
$$;

create trigger "Log" after insert on conflicts for each row execute function log_conflict();
create trigger "LogUpdate" after update of ours, theirs, resolved_at on conflicts
for each row when ((old.ours, old.theirs, old.resolved_at) is distinct from (new.ours, new.theirs, new.resolved_at))
execute function log_conflict();

-- What is live moved on, by whomever: the open conflicts show it, and a kept value that became live is no
-- conflict any more. Small letters: after the log has told the change itself.
create function follow_live(list uuid, item uuid, fields text[], live jsonb) returns void
language sql
as $$
  update conflicts
  set ours = live,
    ours_by = nullif(current_setting('app.actor', true), '')::uuid,
    resolved_at = case when theirs = live then now() end
  where checklist_id = list
  and item_id is not distinct from item
  and field = any (fields)
  and resolved_at is null
$$;

create function follow_item() returns trigger
language plpgsql
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

create trigger follow_item after update of text, due_on on checklist_items
for each row when ((old.text, old.due_on) is distinct from (new.text, new.due_on))
execute function follow_item();

create function follow_title() returns trigger
language plpgsql
as $$
begin
  perform follow_live(new.id, null, '{title}', to_jsonb(new.title));
  return null;
end
$$;

create trigger follow_title after update of title on checklists
for each row when (old.title <> new.title)
execute function follow_title();

create trigger refuse_new_parent before update of id, project_id on checklists
for each row when (old.id <> new.id or old.project_id <> new.project_id)
execute function refuse_new_parent();
create trigger refuse_new_parent before update of id, checklist_id on checklist_items
for each row when (old.id <> new.id or old.checklist_id <> new.checklist_id)
execute function refuse_new_parent();

create trigger refuse_truncate before truncate on checklists for each statement execute function refuse_truncate();
create trigger refuse_truncate before truncate on checklist_items for each statement execute function refuse_truncate();
