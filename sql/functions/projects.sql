create or replace function log_project() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
  was constant jsonb := case when tg_op <> 'INSERT' then jsonb_build_object('id', old.id, 'name', old.name) end;
  now constant jsonb := case when tg_op <> 'DELETE' then jsonb_build_object('id', new.id, 'name', new.name) end;
begin
  perform log_change(
    case tg_op when 'INSERT' then 'project.created' when 'UPDATE' then 'project.updated' else 'project.deleted' end,
    project_id => coalesce(new.id, old.id),
    -- a new project has no member yet, so the event is about the user who created the project
    user_id => case when tg_op = 'INSERT' then acting_user() end,
    before => was,
    after => now
  );
  return null;
end
$$;

create or replace function log_member() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
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

-- Because of the lock, two owners who leave at the same time are checked one after the other.
create or replace function keep_an_owner() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
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

create or replace function delete_sole_owned_projects() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
  -- Because of the lock, owners who are deleted at the same time are handled one after the other, and the last one
  -- finds no other owner.
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
