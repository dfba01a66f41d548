import t from 'tap'
import { build } from '../../support/app.ts'
import { createDatabase, holdLock, openSql } from '../../support/database.ts'
import { until } from '../../support/until.ts'
import { createUser } from '../../support/users.ts'

t.test('a locked row delays only the requests that write it', async t => {
  const url = await createDatabase(t)
  const app = await build(t, { DATABASE_URL: url })
  const [ann, bob] = [await createUser(app), await createUser(app)]
  const create = (user: typeof ann) =>
    app.inject({ method: 'POST', url: '/projects', headers: user.headers, payload: { name: 'P' } })
  const { id } = (await create(ann)).json()
  const rename = (name: string) =>
    app.inject({ method: 'PATCH', url: `/projects/${id}`, headers: ann.headers, payload: { name } })

  const release = await holdLock(
    openSql(t, url),
    tx => tx`select from projects where id = ${id} for update`
  )
  let finished = 0
  const waiting = Array.from({ length: 30 }, async (_, n) => {
    const reply = await rename(`Name ${n}`)
    finished++
    return reply
  })
  for (let n = 0; n < 20; n++) t.equal((await create(bob)).statusCode, 201)
  t.equal(finished, 0)
  await release()
  for (const reply of await Promise.all(waiting)) t.equal(reply.statusCode, 200)
})

t.test('while the commit lock is held, reads continue and 503 writes nothing', async t => {
  const url = await createDatabase(t)
  const app = await build(t, { DATABASE_URL: url })
  const ann = await createUser(app)
  const release = await holdLock(
    openSql(t, url),
    tx => tx`select pg_advisory_xact_lock(hashtextextended('concord.log', 0))`
  )
  const statuses: number[] = []
  for (let n = 0; n < 60; n++) {
    const payload = { name: `Project ${n}` }
    app
      .inject({ method: 'POST', url: '/projects', headers: ann.headers, payload })
      .then(({ statusCode, headers, body }) => {
        statuses.push(statusCode)
        if (statusCode !== 503) return
        t.match(headers, { 'retry-after': /^\d+$/ })
        t.match(JSON.parse(body), { code: 'BUSY' })
      })
  }
  await until(async () => {
    const me = await app.inject({ url: '/users/me', headers: ann.headers })
    t.equal(me.statusCode, 200)
    return statuses.length > 0
  })
  const [backends] = await app.sql<[{ count: number }]>`
    select count(*) from pg_stat_activity where datname = current_database()`
  t.ok(backends.count <= 20, `${backends.count} backends`)
  await release()
  await until(() => statuses.length === 60)
  const created = statuses.filter(status => status === 201).length
  const [projects] = await app.sql<[{ count: number }]>`select count(*) from projects`
  t.equal(projects.count, created, 'exactly the projects that returned 201 exist')
})
