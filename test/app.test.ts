import t from 'tap'
import { build, listen } from './support/app.ts'
import { createDatabase } from './support/database.ts'

t.test('an unknown path returns 404 in the common error format', async t => {
  const app = await build(t)
  const url = await listen(app)
  const response = await fetch(`${url}/nowhere?token=secret`)
  t.equal(response.status, 404)
  t.match(await response.json(), {
    statusCode: 404,
    code: 'ROUTE_NOT_FOUND',
    error: 'Not Found',
    message: 'there is no GET /nowhere: see /docs'
  })
})

t.test("two applications on one database see each other's rows", async t => {
  const env = { DATABASE_URL: await createDatabase(t) }
  const [one, two] = [await build(t, env), await build(t, env)]
  await one.sql`insert into users (email, name) values ('ann@example.com', 'Ann')`
  t.strictSame([...(await two.sql`select name from users`)], [{ name: 'Ann' }])
})
