import postgres from 'postgres'
import t from 'tap'
import { connectionOptions } from '../../lib/postgres/connection.ts'
import { createDatabase } from '../support/database.ts'

// Tests of patches/postgres+3.4.9.patch. Without the patch, the first test ends the process. In the second test the
// process ends, or queries neither resolve nor reject.

t.test('a query on a lost connection rejects, and its pool recovers', async t => {
  const url = await createDatabase(t)
  const [sql, killer] = [
    postgres(url, { ...connectionOptions(), max: 2 }),
    postgres(url, { max: 1 })
  ]
  t.teardown(() => Promise.all([sql.end({ timeout: 1 }), killer.end()]))
  const reserved = await sql.reserve()
  const [backend] = await reserved`select pg_backend_pid() as pid`
  await killer`select pg_terminate_backend(${backend?.pid})`
  await reserved`select 1`.catch(() => {})
  await t.rejects(reserved`select 1`, { code: 'CONNECTION_CLOSED' })
  t.match(await sql`select 1 as one`, [{ one: 1 }], 'the pool recovers')
})

t.test('a connection pool recovers after its backends are killed 200 times', async t => {
  const url = await createDatabase(t)
  const [sql, killer] = [
    postgres(url, { ...connectionOptions(), max: 4 }),
    postgres(url, { max: 1 })
  ]
  t.teardown(() => Promise.all([sql.end({ timeout: 1 }), killer.end()]))
  let isOver = false
  const querying = Array.from({ length: 8 }, async (_, n) => {
    while (!isOver) await sql`select ${n}::int`.catch(() => {})
  })
  for (let round = 0; round < 200; round++) {
    await killer`
      select pg_terminate_backend(pid)
      from pg_stat_activity
      where datname = current_database()
      and pid <> pg_backend_pid()`
  }
  isOver = true
  await Promise.all(querying)
  const results = await Promise.all(Array.from({ length: 16 }, () => sql`select 1 as one`))
  t.equal(results.length, 16)
})
