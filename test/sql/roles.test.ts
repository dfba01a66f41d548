import { randomBytes, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { readAfter } from '../../sql/log.ts'
import { build } from '../support/app.ts'
import { insertChecklist } from '../support/checklists.ts'
import { createDatabase } from '../support/database.ts'

const tables = ['users', 'projects', 'project_members', 'checklists', 'checklist_items']

/** Starts a node, and a connection of another role that may only write the five tables. */
async function setUpWriter(t: Test) {
  const url = await createDatabase(t)
  const app = await build(t, { DATABASE_URL: url })
  const name = `writer_${randomBytes(6).toString('hex')}`
  const owner = app.sql
  await owner.unsafe(`create role ${name} login password 'writes' nosuperuser`)
  await owner.unsafe(`grant select, insert, update, delete on ${tables} to ${name}`)
  const login = new URL(url)
  login.username = name
  login.password = 'writes'
  const sql = postgres(login.href, { max: 1, onnotice: () => {} })
  t.teardown(async () => {
    await sql.end({ timeout: 1 })
    const root = postgres(url, { max: 1, onnotice: () => {} })
    await root.unsafe(`drop owned by ${name}; drop role ${name}`)
    await root.end()
  })
  return { app, owner, sql }
}

async function eventsOf(owner: postgres.Sql) {
  const { events } = await readAfter(owner as never, 0, { rows: 1000, bytes: 1 << 30 })
  return events
}

t.test('writes of another role to the tables are logged completely', async t => {
  const { owner, sql } = await setUpWriter(t)
  const [ann, project] = [randomUUID(), randomUUID()]
  const [list, item] = [randomUUID(), randomUUID()]
  await sql`insert into users (id, email, name) values (${ann}, 'ann@example.com', 'Ann')`
  await sql.begin(async tx => {
    await tx`insert into projects (id, name) values (${project}, 'Fair')`
    await tx`
      insert into project_members (project_id, user_id, role) values (${project}, ${ann}, 'owner')`
  })
  await sql`insert into checklists (id, project_id, title) values (${list}, ${project}, 'To buy')`
  await sql`insert into checklist_items (id, checklist_id, text) values (${item}, ${list}, 'Milk')`
  await sql`update checklist_items set text = 'Oat milk' where id = ${item}`
  await sql`delete from checklist_items where id = ${item}`
  await sql`insert into checklist_items (id, checklist_id, text) values (${item}, ${list}, 'Milk')`
  await t.rejects(sql`delete from project_members where user_id = ${ann}`, /needs an owner/)
  await sql`delete from users where id = ${ann}`
  const events = await eventsOf(owner)
  t.strictSame(
    events.map(({ kind }) => kind),
    [
      ...['project.created', 'member.added', 'checklist.created'],
      ...['item.added', 'item.updated', 'item.deleted', 'item.added'],
      ...['project.deleted', 'member.removed']
    ]
  )
  for (const event of events) t.match(event, { source: 'sql', actorId: null, opId: null })
  t.equal((await owner`select from pending_events`).length, 0)
})

t.test('a write of another role updates the open conflict', async t => {
  const { app, sql } = await setUpWriter(t)
  const { apply, addItems, users, read } = await insertChecklist(app)
  const [itemId = ''] = await addItems('Milk')
  const edit = (to: string) => ({
    kind: 'item.set' as const,
    itemId,
    set: { text: { from: 'Milk', to } }
  })
  await apply(edit('Oat milk please'))
  await apply(edit('Tea'), users[1])
  await sql`update checklist_items set text = 'Rye' where id = ${itemId}`
  t.match(await read(), { conflicts: [{ ours: 'Rye', oursBy: null, theirs: 'Tea' }] })
  const updated = (await eventsOf(app.sql)).at(-1)
  t.match(updated, { kind: 'conflict.updated' })
  t.notOk('base' in JSON.parse(updated?.before ?? ''), 'an unchanged value is not stored')
  t.match(JSON.parse(updated?.after ?? ''), { base: 'Milk', ours: 'Rye' })
})

t.test('another role can neither call functions nor read the log', async t => {
  const { sql, owner } = await setUpWriter(t)
  const functions = await owner<{ name: string; args: string }[]>`
    select proname as name, pg_get_function_identity_arguments(oid) as args
    from pg_proc
    where pronamespace = 'public'::regnamespace
    and has_function_privilege('public', oid, 'execute')`
  t.strictSame([...functions], [], 'no function is executable by every role')
  const ended = JSON.stringify({ sessionId: randomUUID(), reason: 'revoked' })
  for (const query of [
    `select log_change('session.ended', after => '${ended}')`,
    `select apply_operations('[]')`,
    `select make_room('${randomUUID()}', 0, '${randomUUID()}')`,
    'select * from events',
    'select * from sessions',
    'insert into pending_events default values',
    'update log_state set generation = 2',
    'truncate checklist_items'
  ]) {
    await t.rejects(sql.unsafe(query), { code: '42501' }, query)
  }
})

t.test("another role cannot attach the service's trigger functions to its tables", async t => {
  const { sql, owner } = await setUpWriter(t)
  const triggers = await owner<{ name: string }[]>`
    select proname as name from pg_proc
    where pronamespace = 'public'::regnamespace and prorettype = 'trigger'::regtype`
  t.ok(triggers.length > 8)
  await sql`create temporary table sessions (id uuid, user_id uuid, revoked_at timestamptz)`
  for (const { name } of triggers) {
    const query = `create trigger mine after insert on sessions for each row execute function public.${name}()`
    await t.rejects(sql.unsafe(query), { code: '42501' }, name)
  }
})

t.test('objects earlier in the search_path of another role are not used', async t => {
  const { sql, owner } = await setUpWriter(t)
  const { count } = await owner`select from pg_roles where rolsuper`
  const role = (await sql`select current_user as name`)[0]?.name as string
  await owner.unsafe(`create schema ${role} authorization ${role}`)
  const rise = `begin execute 'alter role ${role} superuser'; return `
  await sql.unsafe(`
    create function ${role}.set_config(text, text, boolean) returns text language plpgsql as $$ ${rise} ''; end $$;
    create function ${role}.pg_current_xact_id() returns xid8 language plpgsql as $$ ${rise} '1'; end $$;
    create function ${role}.current_setting(text, boolean) returns text language plpgsql as $$ ${rise} ''; end $$;
    create function ${role}.differs(text, text) returns boolean language plpgsql as $$ ${rise} true; end $$;
    create operator ${role}.<> (leftarg = text, rightarg = text, function = ${role}.differs);
    create table ${role}.pending_events (xact xid8);
    create temporary table events (pos bigint);
    create temporary table conflicts (id uuid);
    create temporary view projects as select null::uuid as id, 'x' as name;
    set search_path = pg_temp, ${role}, pg_catalog, public`)
  await sql`insert into public.users (email, name) values ('ann@example.com', 'Ann')`
  const [project] = await sql`insert into public.projects (name) values ('Fair') returning id`
  await sql`update public.projects set name = 'Fete' where id = ${project?.id}`
  t.equal((await owner`select from pg_roles where rolsuper`).count, count)
  const kinds = (await eventsOf(owner)).map(({ kind }) => kind)
  t.strictSame(kinds, ['project.created', 'project.updated'])
})

t.test('another role can neither forge the actor nor bypass the log', async t => {
  const { app, sql, owner } = await setUpWriter(t)
  const { ownerId, listId, users } = await insertChecklist(app)
  const head = (await eventsOf(owner)).at(-1)?.pos ?? 0
  await sql.begin(async tx => {
    await tx`
      select
        set_config('app.actor', ${ownerId}, true), set_config('app.source', 'ws', true),
        set_config('app.op', ${users[1] as string}, true),
        set_config('app.noted', pg_current_xact_id()::text, true)`
    await tx`insert into checklist_items (checklist_id, text) values (${listId}, 'Forged')`
  })
  const forged = (await eventsOf(owner)).filter(({ pos }) => pos > head)
  t.match(forged, [{ kind: 'item.added', source: 'sql', actorId: null, opId: null }])
  await t.resolves(
    sql.begin(async tx => {
      await tx`select set_config('app.actor', 'nobody', true)`
      await tx`update checklist_items set done = true where checklist_id = ${listId}`
    })
  )
})

t.test('the documented import role writes tables, but reads no password hash', async t => {
  const { sql, owner } = await setUpWriter(t)
  const role = (await sql`select current_user as name`)[0]?.name as string
  const readme = readFileSync(join(import.meta.dirname, '..', '..', 'docs/operations.md'), 'utf8')
  const [, grants = ''] = /create role importer[^;]*;\n((?: *grant [^;]*;\n)+)/.exec(readme) ?? []
  await owner.unsafe(`revoke all on ${tables} from ${role}; ${grants.replaceAll('importer', role)}`)
  await sql`insert into users (email, name) values ('ann@example.com', 'Ann')`
  await sql`update users set name = 'Anne' where email = 'ann@example.com'`
  await sql`insert into projects (name) values ('Fair')`
  await t.rejects(sql`select password_hash from users`, { code: '42501' })
  await t.rejects(sql`update users set password_hash = 'mine'`, { code: '42501' })
  await t.rejects(sql`update project_members set since_pos = 0`, { code: '42501' })
  await sql`delete from users where email = 'ann@example.com'`
})
