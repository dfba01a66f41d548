import t from 'tap'
import { build } from '../../support/app.ts'
import { holdLock } from '../../support/database.ts'
import { createChecklist, createProject } from '../../support/projects.ts'
import { until } from '../../support/until.ts'
import { createUser, type User } from '../../support/users.ts'

t.test('1,000 pending reads of one user do not delay another user', async t => {
  const app = await build(t, { RATE_LIMIT: 'on' })
  const { sql } = app
  const ann = await createUser(app, 'Ann')
  const bob = await createUser(app, 'Bob')
  const urlOfNewList = async (user: User) =>
    `/checklists/${await createChecklist(user, await createProject(user))}`
  const [annsList, bobsList] = [await urlOfNewList(ann), await urlOfNewList(bob)]
  const finished: string[] = []
  const read = async (name: string, user: User, url: string) => {
    const reply = await user.request('GET', url)
    finished.push(name)
    return reply
  }

  const release = await holdLock(sql, tx => tx`lock table checklists in access exclusive mode`)
  const urls = [annsList, `${annsList}/changes`]
  const anns = Array.from({ length: 1010 }, (_, n) => read('Ann', ann, urls[n % 2] as string))
  // Of 1,010 reads, 4 run, 1,000 wait and 6 are refused.
  await until(() => finished.length === 6)
  const bobs = read('Bob', bob, bobsList)
  const changes = read('Bob', bob, `${bobsList}/changes`)
  await until(async () => {
    const [row] = await sql`
      select count(*)::int
      from pg_stat_activity
      where datname = current_database()
      and wait_event_type = 'Lock'`
    return Number(row?.count) >= 3 // two of the four read the same list with one query
  })
  await release()
  t.equal((await bobs).statusCode, 200)
  t.equal((await changes).statusCode, 200)
  const before = finished.slice(6).lastIndexOf('Bob')
  t.ok(before < 50, `Bob has both responses after ${before} others`)

  const replies = await Promise.all(anns)
  const refused = replies.filter(({ statusCode }) => statusCode === 503)
  t.equal(refused.length, 6)
  t.match(refused[0]?.json(), { code: 'TOO_BUSY' })
  t.equal(refused[0]?.headers['retry-after'], '2')
  t.equal(replies.filter(({ statusCode }) => statusCode === 200).length, 1004)
})
