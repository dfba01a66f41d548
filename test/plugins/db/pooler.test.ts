import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { build, listen } from '../../support/app.ts'
import { createDatabase } from '../../support/database.ts'
import { freePort } from '../../support/free-port.ts'
import { openLive } from '../../support/live-client.ts'
import { createChecklist, createProject } from '../../support/projects.ts'
import { openFeed } from '../../support/sse-client.ts'
import { until } from '../../support/until.ts'
import { createUser } from '../../support/users.ts'

const pgbouncer = ['/usr/sbin', '/usr/bin', '/usr/local/bin', '/opt/homebrew/bin']
  .map(folder => join(folder, 'pgbouncer'))
  .find(existsSync)
const skip = pgbouncer === undefined && 'needs PgBouncer: apt-get install pgbouncer'

/** Starts a node with a checklist, its owner, and the owner's open stream and socket. */
async function setUp(t: Test, env: NodeJS.ProcessEnv) {
  const app = await build(t, env)
  const url = await listen(app)
  const ann = await createUser(app)
  const listId = await createChecklist(ann, await createProject(ann))
  const feed = await openFeed(t, url, ann.headers)
  await feed.next('ready')
  const live = await openLive(t, url, ann.headers)
  await live.open(listId)
  return { app, ann, url, listId, feed, live }
}

/** Checks that changes over the socket and by SQL arrive at the stream and the socket. */
async function checkDelivery(
  t: Test,
  { app, listId, feed, live }: Awaited<ReturnType<typeof setUp>>
) {
  const [itemId, opId] = [crypto.randomUUID(), crypto.randomUUID()]
  const op = { opId, kind: 'item.add', itemId, text: 'Milk', after: null } as const
  t.match(await live.push(listId, op), [{ outcome: 'applied' }])
  await app.sql`insert into checklist_items (checklist_id, text) values (${listId}, 'Bread')`
  t.match((await feed.next('item.added')).data, { after: { text: 'Milk' } })
  t.match((await feed.next('item.added')).data, { after: { text: 'Bread' } })
  const receivedRevs = () =>
    live.messages.flatMap(({ changes = [] }) => changes.map(({ rev }) => rev))
  await until(() => receivedRevs().length === 2)
  t.strictSame(receivedRevs(), [2, 3], 'every change arrives once, in order')
}

t.test('behind a transaction pooler, events are delivered by polling', { skip }, async t => {
  const direct = await createDatabase(t)
  const pooled = await pool(t, direct)
  const setup = await setUp(t, { DATABASE_URL: pooled })
  const ready = await setup.app.inject('/health/ready')
  t.equal(ready.statusCode, 200)
  t.match(ready.json(), { status: 'ready', database: 'up', listener: 'polling' })
  await checkDelivery(t, setup)
})

t.test(
  'LISTEN_URL delivers notifications although DATABASE_URL is a transaction pooler',
  { skip },
  async t => {
    const direct = await createDatabase(t)
    const pooled = await pool(t, direct)
    const setup = await setUp(t, { DATABASE_URL: pooled, LISTEN_URL: direct })
    t.match((await setup.app.inject('/health/ready')).json(), { status: 'ready', listener: 'up' })
    await checkDelivery(t, setup)
  }
)

/** Starts PgBouncer in transaction mode, as documented in the README. Returns the URL of the database through it. */
async function pool(t: Test, url: string): Promise<string> {
  const { hostname, port, username, password, pathname } = new URL(url)
  const folder = await mkdtemp(join(tmpdir(), 'concord-pgbouncer-'))
  await chmod(folder, 0o755)
  const file = join(folder, 'pgbouncer.ini')
  const poolerPort = await freePort()
  const name = pathname.slice(1)
  await writeFile(
    file,
    `
[databases]
${name} = host=${hostname} port=${port} user=${username} password=${decodeURIComponent(password)}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${poolerPort}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 5
ignore_startup_parameters = statement_timeout,lock_timeout,idle_in_transaction_session_timeout,plan_cache_mode,jit,enable_seqscan
${process.getuid?.() === 0 ? 'user = postgres' : ''}
`
  )
  const child = spawn(pgbouncer as string, ['-q', file], { stdio: 'ignore' })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
    await rm(folder, { recursive: true })
  })
  await until(async () => {
    const socket = connect(poolerPort, '127.0.0.1')
    await once(socket, 'connect')
    socket.destroy()
    return true
  })
  // PgBouncer before 1.21 does not support prepared statements.
  return `postgres://concord@127.0.0.1:${poolerPort}/${name}?prepare=false`
}
