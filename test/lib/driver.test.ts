import postgres from 'postgres'
import t from 'tap'
import { connectionOptions } from '../../lib/postgres/connection.ts'
import { createDatabase, openSql } from '../support/database.ts'
import { until } from '../support/until.ts'

// Tests of patches/postgres+3.4.9.patch. Without the patch, the first test ends the process. In the second test the
// process ends, or queries neither resolve nor reject. In the third test, a connection stays open for ever.

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

t.test('a listener that is ended while it waits to reconnect does not connect again', async t => {
  const url = await createDatabase(t)
  const killer = openSql(t, url)
  const listen = async (name: string) => {
    const options = { ...connectionOptions({ application_name: name }), backoff: () => 0.3 }
    const sql = postgres(url, { ...options, max: 1 })
    t.teardown(() => sql.end({ timeout: 1 }))
    await sql.listen('news', () => {})
    return sql
  }
  const [ended] = [await listen('ended'), await listen('other')]
  const pidsOf = async (name: string) =>
    (await killer`select pid from pg_stat_activity where application_name = ${name}`).map(
      ({ pid }) => pid as number
    )
  const [first, second] = [await pidsOf('ended'), await pidsOf('other')]
  for (const pid of [...first, ...second]) await killer`select pg_terminate_backend(${pid}, 5000)`
  await ended.end({ timeout: 0 })
  // The other one waits for as long, and began later.
  await until(async () => (await pidsOf('other')).some(pid => !second.includes(pid)))
  t.strictSame(await pidsOf('ended'), [])
})
