-- All triggers. The triggers of one table fire in the order of their names. "1_log" sorts before the triggers of
-- foreign keys ("RI_…"), so that the deletion of a parent row is logged before the deletions of its children.

-- PostgreSQL cannot replace a constraint trigger, so this trigger must never change.
do $$
begin
  if not exists (select from pg_trigger where tgname = 'number_events') then
    create constraint trigger number_events
    after insert on pending_events
    deferrable initially deferred
    for each row when (new.is_first)
    execute function number_events();
  end if;
end
$$;

create or replace trigger refuse_truncate before truncate on events
for each statement execute function refuse_truncate();

create or replace trigger refuse_truncate before truncate on sessions
for each statement execute function refuse_truncate();

create or replace trigger refuse_truncate before truncate on users
for each statement execute function refuse_truncate();

create or replace trigger refuse_truncate before truncate on projects
for each statement execute function refuse_truncate();

create or replace trigger refuse_truncate before truncate on project_members
for each statement execute function refuse_truncate();

create or replace trigger refuse_truncate before truncate on checklists
for each statement execute function refuse_truncate();

create or replace trigger refuse_truncate before truncate on checklist_items
for each statement execute function refuse_truncate();

create or replace trigger log_renamed after update of name on users
for each row when (old.name <> new.name)
execute function log_user();

create or replace trigger log_revoked after update of revoked_at on sessions
for each row when (old.revoked_at is null and new.revoked_at is not null)
execute function log_session();

create or replace trigger log_deleted after delete on sessions
for each row when (old.revoked_at is null)
execute function log_session();

create or replace trigger "1_log" after insert or delete on projects for each row execute function log_project();

create or replace trigger "1_log_update" after update of name on projects
for each row when (old.name is distinct from new.name)
execute function log_project();

create or replace trigger "1_log" after insert or delete on project_members for each row execute function log_member();

create or replace trigger "1_log_update" after update of role on project_members
for each row when (old.role is distinct from new.role)
execute function log_member();

create or replace trigger refuse_new_parent before update of project_id, user_id on project_members
for each row when (old.project_id <> new.project_id or old.user_id <> new.user_id)
execute function refuse_new_parent();

create or replace trigger refuse_new_id before update of id on projects
for each row when (old.id <> new.id)
execute function refuse_new_parent();

create or replace trigger keep_an_owner after delete on project_members
for each row when (old.role = 'owner')
execute function keep_an_owner();

create or replace trigger keep_an_owner_on_update after update of role on project_members
for each row when (old.role = 'owner' and new.role <> 'owner')
execute function keep_an_owner();

create or replace trigger delete_sole_owned_projects before delete on users
for each row execute function delete_sole_owned_projects();

create or replace trigger place_item_last before insert on checklist_items
for each row when (new.position is null)
execute function place_item_last();

create or replace trigger "1_log" after insert or delete on checklists for each row execute function log_checklist();

create or replace trigger "1_log_update" after update of title, deleted_at on checklists
for each row when (
  old.title is distinct from new.title or (old.deleted_at is null) <> (new.deleted_at is null)
)
execute function log_checklist();

create or replace trigger "1_log" after insert or delete on checklist_items for each row execute function log_item();

create or replace trigger "1_log_update" after update of text, done, due_on, position on checklist_items
for each row when (
  (old.text, old.done, old.due_on, old.position) is distinct from (new.text, new.done, new.due_on, new.position)
)
execute function log_item();

create or replace trigger "1_log" after insert on conflicts for each row execute function log_conflict();

create or replace trigger "1_log_update" after update of ours, theirs, resolved_at on conflicts
for each row when ((old.ours, old.theirs, old.resolved_at) is distinct from (new.ours, new.theirs, new.resolved_at))
execute function log_conflict();

create or replace trigger follow_item after update of text, due_on on checklist_items
for each row when ((old.text, old.due_on) is distinct from (new.text, new.due_on))
execute function follow_item();

create or replace trigger follow_title after update of title on checklists
for each row when (old.title <> new.title)
execute function follow_title();

create or replace trigger refuse_new_parent before update of id, project_id on checklists
for each row when (old.id <> new.id or old.project_id <> new.project_id)
execute function refuse_new_parent();

create or replace trigger refuse_new_parent before update of id, checklist_id on checklist_items
for each row when (old.id <> new.id or old.checklist_id <> new.checklist_id)
execute function refuse_new_parent();
