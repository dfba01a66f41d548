import t from 'tap'
import { createDatabase } from '../support/database.ts'
import {
  createDataDir,
  type ServiceProcess,
  spawnService,
  waitForStart
} from '../support/process.ts'

t.test('npm run sql connects to the database of a running service', async t => {
  const env = { DATA_DIR: await createDataDir(t) }
  const query = (...args: string[]) => ended(spawnService(t, env, 'bin/sql.ts', args))
  t.match(await query('select 1'), { code: 1, stderr: /^no database runs in .+: npm start starts/ })

  const service = spawnService(t, env)
  await waitForStart(service)
  t.match(await query("insert into users (email, name) values ('a@b.c', 'Ann')"), {
    code: 0,
    stdout: 'INSERT 1\n'
  })
  t.match(await query('select name from users'), { code: 0, stdout: /│ 'Ann' │/ })
  t.match(await query('selct'), { code: 1, stderr: 'syntax error at or near "selct"\n' })
  t.match(await query(), { code: 1, stderr: /^npm run sql -- / })
  service.child.kill('SIGTERM')
  await service.exited
})

t.test('npm run sql connects to DATABASE_URL', async t => {
  const env = { DATABASE_URL: await createDatabase(t), JWT_SECRET: 'x'.repeat(32) }
  const { stdout } = await ended(
    spawnService(t, env, 'bin/sql.ts', ['select current_database() as name'])
  )
  t.ok(stdout.includes(new URL(env.DATABASE_URL).pathname.slice(1)))
})

async function ended({ exited, output }: ServiceProcess) {
  const [code] = await exited
  return { code, ...output }
}
