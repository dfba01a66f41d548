import { execFileSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join, relative } from 'node:path'
import t, { type Test } from 'tap'
import { JWT_SECRET } from '../support/app.ts'
import { createDatabase, openSql } from '../support/database.ts'
import { spawnService, waitForStart } from '../support/process.ts'
import { openFeed } from '../support/sse-client.ts'

const root = join(import.meta.dirname, '../..')

const git = (...args: string[]) => {
  try {
    return execFileSync('git', ['-c', `safe.directory=${root}`, ...args], {
      cwd: root,
      stdio: 'pipe',
      maxBuffer: 1 << 28
    })
  } catch {
    return Buffer.from('')
  }
}

const [tag = ''] = String(git('tag', '--list', 'v*', '--sort=-v:refname')).split('\n')

/** Starts `server.ts` of a folder on a database, and uses it: an account, a project, a stream, plain SQL. */
async function useService(t: Test, folder: string, databaseUrl: string) {
  const env = { DATABASE_URL: databaseUrl, JWT_SECRET }
  const service = spawnService(t, env, relative(root, join(folder, 'server.ts')))
  const { address } = await waitForStart(service)
  const call = async (path: string, body: object, headers = {}) => {
    const response = await fetch(`${address}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body)
    })
    return response.json() as Promise<Record<string, string>>
  }
  const account = { email: 'ann@example.com', password: 'hat and coat' }
  await call('/auth/signup', { ...account, name: 'Ann' })
  const { accessToken } = await call('/auth/signin', account)
  const headers = { authorization: `Bearer ${accessToken}` }
  const feed = await openFeed(t, address, headers)
  await feed.next('ready')
  const project = await call('/projects', { name: 'Fair' }, headers)
  await feed.next('member.added')
  const list = await call(`/projects/${project.id}/checklists`, { title: 'To buy' }, headers)
  await openSql(t, databaseUrl)`
    insert into checklist_items (checklist_id, text)
    values (${list.id as string}, 'Milk')`
  t.match(await feed.next('item.added'), { data: { rev: 2, source: 'sql' } })
  service.child.kill('SIGTERM')
  t.strictSame(await service.exited, [0, null])
}

// Changes of the schema that a release may make: nodes of the release before it still run. See CONTRIBUTING.md.
t.test('this version runs on the schema of a newer release that only adds', async t => {
  const databaseUrl = await createDatabase(t)
  const sql = openSql(t, databaseUrl)
  await sql.unsafe(`
    alter table events add column later text;
    alter table checklists add column later text;
    create table later (id integer primary key);
    create function later() returns integer language sql as 'select 1';
    insert into schema_version (version, name) values (999, 'later');
    update functions_applied set digest = 'that of the newer release', release = '{999,0,0}'`)
  await useService(t, root, databaseUrl)
  const [applied] = await sql`select digest from functions_applied`
  t.equal(applied?.digest, 'that of the newer release', 'functions of the newer release stay')
})

const isUnreleased = tag === '' && 'no release has a tag v* yet, or this is no clone with tags'
t.test(
  'the previous release runs on the schema of this version',
  { skip: isUnreleased },
  async t => {
    const folder = t.testdir({})
    const archive = git('archive', tag)
    execFileSync('tar', ['-x', '-C', folder], { input: archive })
    // Its own dependencies would take a minute to install; those of this version are near enough.
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    await useService(t, folder, await createDatabase(t))
  }
)
