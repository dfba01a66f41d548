import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import t from 'tap'
import { type Postgres, startPostgres } from '../../../lib/embedded-postgres/server.ts'
import { createDataDir, spawnService, waitForStart } from '../../support/process.ts'
import { until } from '../../support/until.ts'

const quick = { fsync: 'off' }

t.test('a restart keeps the data and the password file of mode 600', async t => {
  const folder = await createDataDir(t)
  const steps: string[] = []
  const first = await startPostgres(folder, quick, step => steps.push(step))
  t.match(steps, [/^creating the database in /, 'starting PostgreSQL'])
  await query(first, 'create table kept as select 1 as one')
  t.strictSame(
    await query(
      first,
      'select datlocprovider, datlocale from pg_database where datname = current_database()'
    ),
    [{ datlocprovider: 'b', datlocale: 'C.UTF-8' }]
  )
  t.match(await query(first, 'show server_version'), [{ server_version: /^18\./ }])
  t.strictSame(await query(first, 'show unix_socket_directories'), [
    { unix_socket_directories: '' }
  ])
  await first.stop()

  const second = await startPostgres(folder, quick, step => steps.push(step))
  t.strictSame(steps.slice(2), ['starting PostgreSQL'], 'a restart creates nothing')
  t.strictSame(await query(second, 'select * from kept'), [{ one: 1 }])
  t.equal(new URL(second.url).password, new URL(first.url).password)
  t.notMatch(second.psql, new URL(second.url).password)
  t.equal((await stat(join(folder, 'pgpass'))).mode & 0o777, 0o600)
  await second.stop()
})

t.test('the embedded PostgreSQL refuses a wrong password', async t => {
  const cluster = await startPostgres(await createDataDir(t), quick)
  const url = new URL(cluster.url)
  url.password = 'guess'
  await t.rejects(query({ ...cluster, url: url.href }, 'select 1'), { code: '28P01' })
  await cluster.stop()
})

t.test('a start adopts the PostgreSQL that a killed service left running', async t => {
  const folder = await createDataDir(t)
  const service = spawnService(t, { DATA_DIR: folder })
  await waitForStart(service)
  const [pid] = await postmaster(folder)
  service.child.kill('SIGKILL')
  await service.exited

  const adopted = await startPostgres(folder)
  t.equal((await postmaster(folder))[0], pid, 'the postmaster is the same process')
  t.match(await query(adopted, 'select count(*)::int from schema_version'), [{ count: Number }])
  await adopted.stop()
})

t.test('a second service on one DATA_DIR exits with 1, the first continues', async t => {
  const folder = await createDataDir(t)
  const first = await startPostgres(folder, quick)
  const second = spawnService(t, { DATA_DIR: folder })
  t.strictSame(await second.exited, [1, null])
  t.match(second.output.stderr, /another service runs on the database in .*DATA_DIR/)
  t.strictSame(await query(first, 'select 1 as one'), [{ one: 1 }])
  await first.stop()
})

t.test('of two services that start on one empty folder, one exits', async t => {
  const folder = await createDataDir(t)
  const both = [spawnService(t, { DATA_DIR: folder }), spawnService(t, { DATA_DIR: folder })]
  const [code] = await Promise.race(both.map(service => service.exited))
  t.equal(code, 1)
  const running = await until(() => both.find(({ child }) => child.exitCode === null))
  await waitForStart(running)
  const refused = both.find(service => service !== running)
  t.match(refused?.output.stderr, /another service runs/)
  running.child.kill('SIGTERM')
  t.strictSame(await running.exited, [0, null])
})

t.test('a service locks its data directory again after the lock is lost', async t => {
  const folder = await createDataDir(t)
  const first = await startPostgres(folder, quick)
  const kill = `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'concord claim'`
  await query(first, kill)
  await until(
    async () => (await query(first, `select from pg_locks where locktype = 'advisory'`)).length
  )
  await t.rejects(startPostgres(folder), /another service runs/)
  await first.stop()
})

t.test("a postmaster.pid with another process's pid does not block the start", async t => {
  const folder = await createDataDir(t)
  await startPostgres(folder, quick).then(cluster => cluster.stop())
  const file = join(folder, 'postgres', 'postmaster.pid')
  const data = join(folder, 'postgres')
  await writeFile(file, `${process.pid}\n${data}\n1\n54321\n\n127.0.0.1\n1 1\nready\n`)
  const again = await startPostgres(folder, quick)
  t.strictSame(await query(again, 'select 1 as one'), [{ one: 1 }])
  await again.stop()
})

t.test('a start without the password file fails and names the file', async t => {
  const folder = await createDataDir(t)
  await startPostgres(folder, quick).then(cluster => cluster.stop())
  const file = join(folder, 'pgpass')
  const kept = await readFile(file)
  await t.rejects(
    rm(file).then(() => startPostgres(folder)),
    /pgpass, the password of .* is missing/
  )
  await writeFile(file, kept, { mode: 0o600 })
})

const isRoot = process.getuid?.() === 0
t.test(
  'a start as root names the folder that PostgreSQL cannot enter',
  { skip: !isRoot },
  async t => {
    const closed = t.testdir({})
    await chmod(closed, 0o700)
    await t.rejects(
      startPostgres(join(closed, 'data')),
      new RegExp(`cannot enter ${closed}: chmod a\\+x`)
    )
  }
)

t.test('the printed psql command quotes folders with blanks and quotes', async t => {
  const folder = join(await createDataDir(t), "it's here")
  const cluster = await startPostgres(folder, quick)
  t.match(cluster.psql, "it'\\''s here/pgpass' psql")
  await cluster.stop()
})

async function query({ url }: Pick<Postgres, 'url'>, text: string) {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    return [...(await sql.unsafe(text))]
  } finally {
    await sql.end()
  }
}

async function postmaster(folder: string): Promise<string[]> {
  return (await readFile(join(folder, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')
}
