-- Projects and who belongs to them.

create table projects (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  created_at timestamptz not null default now(),
  constraint projects_name_length check (length(name) between 1 and 200 and name = btrim(name))
);

create table project_members (
  project_id uuid not null references projects on delete cascade,
  user_id uuid not null references users on delete cascade,
  role text not null,
  added_at timestamptz not null default now(),
  -- pos of the member.added that began this membership
  since_pos bigint not null default 0,
  primary key (project_id, user_id),
  constraint project_members_role check (role in ('owner', 'editor', 'viewer'))
);

create index project_members_user on project_members (user_id, project_id);

create function log_project() returns trigger
language plpgsql
as $$
declare
  was constant jsonb := case when tg_op <> 'INSERT' then jsonb_build_object('id', old.id, 'name', old.name) end;
  now constant jsonb := case when tg_op <> 'DELETE' then jsonb_build_object('id', new.id, 'name', new.name) end;
begin
  perform log_change(
    case tg_op when 'INSERT' then 'project.created' when 'UPDATE' then 'project.updated' else 'project.deleted' end,
    project_id => coalesce(new.id, old.id),
    -- nobody is a member yet: the creation is told to the one who created it
    user_id => case when tg_op = 'INSERT' then nullif(current_setting('app.actor', true), '')::uuid end,
    before => was,
    after => now
  );
  return null;
end
$$;

-- Names of triggers decide their order. "Log" sorts before the foreign keys' "RI_…", so that a deleted
-- parent is told before what goes with it.
create trigger "Log" after insert or delete on projects for each row execute function log_project();
create trigger "LogUpdate" after update of name on projects
for each row when (old.name is distinct from new.name)
execute function log_project();

create function log_member() returns trigger
language plpgsql
as $$
declare
  project constant jsonb := coalesce(
    (
      select jsonb_build_object('id', id, 'name', name)
      from projects
      where id = coalesce(new.project_id, old.project_id)
    ),
    jsonb_build_object('id', old.project_id)
  );
begin
  perform log_change(
    case tg_op when 'INSERT' then 'member.added' when 'UPDATE' then 'member.updated' else 'member.removed' end,
    project_id => coalesce(new.project_id, old.project_id),
    user_id => coalesce(new.user_id, old.user_id),
    before => case when tg_op <> 'INSERT' then jsonb_build_object('role', old.role, 'project', project) end,
    after => case when tg_op <> 'DELETE' then jsonb_build_object('role', new.role, 'project', project) end
  );
  return null;
end
$$;

create trigger "Log" after insert or delete on project_members for each row execute function log_member();
create trigger "LogUpdate" after update of role on project_members
for each row when (old.role is distinct from new.role)
execute function log_member();

create trigger refuse_new_parent before update of project_id, user_id on project_members
for each row when (old.project_id <> new.project_id or old.user_id <> new.user_id)
execute function refuse_new_parent();
create trigger refuse_new_id before update of id on projects
for each row when (old.id <> new.id)
execute function refuse_new_parent();

-- A project that lost its last owner could be managed by nobody. The lock lets two owners who leave at
-- once see each other.
create function keep_an_owner() returns trigger
language plpgsql
as $$
begin
  perform from projects where id = old.project_id for no key update;
  if found
    and not exists (select from project_members where project_id = old.project_id and role = 'owner')
  then
    raise exception 'a project needs an owner'
      using errcode = 'check_violation', constraint = 'project_members_last_owner', table = tg_table_name;
  end if;
  return null;
end
$$;

create trigger keep_an_owner after delete on project_members
for each row when (old.role = 'owner')
execute function keep_an_owner();
create trigger keep_an_owner_on_update after update of role on project_members
for each row when (old.role = 'owner' and new.role <> 'owner')
execute function keep_an_owner();

-- The projects that nobody else owns go with the account.
create function delete_sole_owned_projects() returns trigger
language plpgsql
as $$
begin
  -- Owners who go at once take turns, and the last one sees that they are alone.
  perform from projects
  where id in (select project_id from project_members where user_id = old.id and role = 'owner')
  order by id
  for no key update;
  delete from projects
  where id in (
    select project_id
    from project_members as mine
    where user_id = old.id
    and role = 'owner'
    and not exists (
      select from project_members as other
      where other.project_id = mine.project_id
      and other.user_id <> old.id
      and other.role = 'owner'
    )
  );
  return old;
end
$$;

create trigger delete_sole_owned_projects before delete on users
for each row execute function delete_sole_owned_projects();

create trigger refuse_truncate before truncate on users for each statement execute function refuse_truncate();
create trigger refuse_truncate before truncate on projects for each statement execute function refuse_truncate();
create trigger refuse_truncate before truncate on project_members for each statement execute function refuse_truncate();
