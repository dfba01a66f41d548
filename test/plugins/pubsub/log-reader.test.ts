import t from 'tap'
import { createLogReader } from '../../../plugins/pubsub/log-reader.ts'
import type { Sql } from '../../../sql/executor.ts'
import { createDatabase, openSql } from '../../support/database.ts'
import { until } from '../../support/until.ts'

const readEpoch = async (sql: Sql) => {
  const [row] = await sql<[{ epoch: string }]>`select log_epoch() as epoch`
  return row.epoch
}

t.test('a reader finds a raised generation with the next page', async t => {
  const sql = openSql(t, await createDatabase(t))
  const read = createLogReader(sql)
  const { epoch } = await read(0)
  t.equal(epoch, await readEpoch(sql))
  await sql`update log_state set generation = generation + 1`
  const page = await read(0)
  t.not(page.epoch, epoch)
  t.equal(page.epoch, await readEpoch(sql))
})

t.test('a reader whose connection moves to a restored database finds its epoch', async t => {
  const admin = openSql(t, await createDatabase(t))
  const [url, restored] = [await createDatabase(t), await createDatabase(t)]
  const nameOf = (url: string) => new URL(url).pathname.slice(1)
  const swapped = `${nameOf(url)}_swapped`
  const sql = openSql(t, url)
  const read = createLogReader(sql)
  const before = await read(0)
  t.equal(before.epoch, await readEpoch(sql))

  await swap()
  // The driver connects again without an error of this query or of the one before.
  const page = await until(() => read(0))
  t.not(page.epoch, before.epoch)
  t.equal(page.epoch, await readEpoch(sql))
  await swap()
  t.equal((await until(() => read(0))).epoch, before.epoch)

  /** Exchanges the names of the two databases. */
  async function swap() {
    for (const [from, to] of [
      [nameOf(url), swapped],
      [nameOf(restored), nameOf(url)],
      [swapped, nameOf(restored)]
    ] as const) {
      await admin`
        select pg_terminate_backend(pid)
        from pg_stat_activity
        where datname = ${from}`
      await until(() => admin`alter database ${admin(from)} rename to ${admin(to)}`)
    }
  }
})

t.test('the last page ends at the head, an earlier one at its last event', async t => {
  const sql = openSql(t, await createDatabase(t))
  await sql`
    insert into events (pos, kind, source, at)
    select 10 * n, 'project.updated', 'sql', now()
    from generate_series(1, 3) as n`
  const read = createLogReader(sql)
  const ends = []
  for (let after = 0, head = 1; after < head; ) {
    const page = await read(after)
    ends.push([page.after, page.to, page.head, page.events.length])
    ;({ to: after, head } = page)
  }
  t.strictSame(ends, [
    [0, 10, 30, 1],
    [10, 30, 30, 2]
  ])
  await sql`update log_state set floor_pos = 40`
  t.match(await read(30), { after: 30, to: 40, head: 40, events: [] })
  await sql`update log_state set floor_pos = 0`
  t.match(await read(40), { after: 40, to: 40, head: 30, events: [] })
})
