import t from 'tap'
import { type PeriodicJob, runStep } from '../../../sql/jobs.ts'
import { createDatabase, openSql } from '../../support/database.ts'

t.test('a step is skipped while another node runs one, and continues at its cursor', async t => {
  const url = await createDatabase(t)
  const [one, other] = [openSql(t, url), openSql(t, url)]
  await one`insert into jobs (name) values ('count')`
  const [started, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const cursors: (string | null)[] = []
  const job: PeriodicJob = {
    everyMs: 60_000,
    async step(_, cursor) {
      cursors.push(cursor)
      started.resolve()
      await released.promise
      return cursor === null ? 'b' : null
    }
  }

  const running = runStep(one, 'count', job)
  await started.promise
  t.equal(await runStep(other, 'count', job), false, 'the other node does not wait')
  released.resolve()
  t.equal(await running, true, 'the next step is due')
  t.equal(await runStep(other, 'count', job), false, 'the job is done')
  t.equal(await runStep(one, 'count', job), false, 'the job is not due')
  t.strictSame(cursors, [null, 'b'])
})

t.test('a step that throws changes nothing and is tried again after the interval', async t => {
  const sql = openSql(t, await createDatabase(t), 2)
  await sql`insert into jobs (name) values ('fail')`
  const job: PeriodicJob = {
    everyMs: 60_000,
    async step(tx) {
      await tx`insert into jobs (name) values ('left over')`
      throw new Error('failed')
    }
  }
  await t.rejects(runStep(sql, 'fail', job), { message: 'failed' })
  const rows = await sql`select name, due_at > now() + interval '50 s' as "isLater" from jobs`
  t.strictSame([...rows], [{ name: 'fail', isLater: true }])
})
