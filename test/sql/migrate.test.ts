import t from 'tap'
import { migrate } from '../../sql/migrate.ts'
import { createDatabase, openSql } from '../support/database.ts'

t.test('a migration applies changed functions again', async t => {
  const sql = openSql(t, await createDatabase(t))
  t.strictSame(await migrate(sql), [], 'no function has changed')
  await sql`
    create or replace function rejected(code text) returns jsonb
    language sql
    as $$ select '"wrong"'::jsonb $$`
  await sql`update functions_applied set digest = 'that of another version'`
  t.match(await migrate(sql), ['accounts.sql', /./])
  const [row] = await sql`select rejected('invalid') as result`
  t.match(row, { result: { outcome: 'rejected', code: 'invalid' } })
})

t.test('a migration refuses the database of a preview version', async t => {
  const sql = openSql(t, await createDatabase(t))
  await sql`update schema_version set name = 'initial' where version = 1`
  await t.rejects(migrate(sql), {
    message: /created by a preview of this service.*move DATA_DIR away/
  })
})

t.test('a migration refuses a newer schema that this version cannot use', async t => {
  const sql = openSql(t, await createDatabase(t))
  await sql`insert into schema_version (version, name) values (999, 'later')`
  await sql`update functions_applied set needs_version = 999`
  await t.rejects(migrate(sql), { message: /schema version 999.*start a newer service/ })
})
