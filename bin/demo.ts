import { randomBytes, randomUUID } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { build } from '../app.ts'
import { startPostgres } from '../lib/embedded-postgres/server.ts'
import { createPerson, operation, type Person, type Wish } from './demo/person.ts'
import { createTimeline } from './demo/timeline.ts'

/*
 * Two people on two nodes of the service, which share nothing but a throw-away database, and somebody with
 * SQL: who did what, and who saw it after how many milliseconds. Ends with 0 when everything was seen in
 * time, else with 1.
 *
 * npm run demo
 */
const DEADLINE_MS = 10_000
const BURST = 100
const JWT_SECRET = randomBytes(32).toString('hex')

const folder = await mkdtemp(join(tmpdir(), 'concord-demo-'))
let ending: Promise<void> | undefined
const cleanUps: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true })]
process.once('SIGINT', async () => {
  await cleanUp()
  process.exit(130)
})

try {
  process.exitCode = (await play()) ? 0 : 1
} catch (error) {
  process.exitCode = 1
  if (!ending) console.error(error)
} finally {
  await cleanUp()
}

async function play(): Promise<boolean> {
  await chmod(folder, 0o755) // the user that PostgreSQL runs as has to get through
  const starting = startPostgres(folder, { fsync: 'off' })
  cleanUps.unshift(() => starting.then(({ stop }) => stop()))
  const database = await starting
  const nodes = [await startNode(database.url), await startNode(database.url)] as const
  const sql = postgres(database.url, { max: 1 })
  cleanUps.unshift(() => sql.end())

  print(`Ann is at ${nodes[0]}, Bob at ${nodes[1]}, and both nodes use one fresh database.\n`)
  const { step, check, end } = createTimeline({ deadlineMs: DEADLINE_MS, print })
  const ann = await step('Ann signs up and in', () => createPerson(nodes[0], 'Ann'))
  const bob = await step('Bob signs up and in', () => createPerson(nodes[1], 'Bob'))
  await step('both open GET /events', () => Promise.all([ann.listen(), bob.listen()]))

  const project = await step(
    'Ann creates the project "Summer fair"',
    () => ann.request('POST', '/projects', { name: 'Summer fair' }),
    { 'Ann, /events: project.created': ann.event('project.created') }
  )
  const members = `/projects/${project.id}/members`
  const { userId: bobsId } = await step(
    'Ann adds Bob to it as editor',
    () => ann.request('POST', members, { email: bob.email, role: 'editor' }),
    { 'Bob, /events: member.added': bob.event('member.added') }
  )
  const { id: listId } = await step(
    'Ann makes the checklist "To do"',
    () => ann.request('POST', `/projects/${project.id}/checklists`, { title: 'To do' }),
    { 'Bob, /events: checklist.created': bob.event('checklist.created') }
  )
  await step('both open it on GET /live', () => Promise.all([ann.join(listId), bob.join(listId)]))

  const itemId = randomUUID()
  await step(
    'Ann adds "Order chairs"',
    () => ann.push(listId, { kind: 'item.add', itemId, text: 'Order chairs', after: null }),
    {
      'Bob, /live: item.added': bob.change('item.added'),
      'Bob, /events: item.added': bob.event('item.added')
    }
  )
  const twelve = 'Order 12 chairs'
  await step(
    `Bob writes "${twelve}"`,
    () => bob.push(listId, setText(itemId, 'Order chairs', twelve)),
    { 'Ann, /live: item.updated': ann.change('item.updated') }
  )
  await step(
    'somebody types in psql: update checklist_items set done = true',
    () => sql`update checklist_items set done = true`,
    {
      'Ann, /live: item.updated, source sql': ann.change('item.updated', bySql),
      'Bob, /live: item.updated, source sql': bob.change('item.updated', bySql)
    }
  )
  await step(
    'Ann un-ticks it with POST /checklists/:checklistId/ops',
    () => ann.request('POST', `/checklists/${listId}/ops`, { ops: [operation(untick(itemId))] }),
    { 'Bob, /live: item.updated, source http': bob.change('item.updated') }
  )

  await step('both lose their connection, and write on', () => {
    ann.goOffline()
    bob.goOffline()
  })
  const white = 'Order 12 white chairs'
  await step(
    `Ann is back with "${white}"`,
    async () => {
      await ann.join(listId)
      await ann.push(listId, setText(itemId, twelve, white))
    },
    { 'Ann, /live: item.updated': ann.change('item.updated', textIs(white)) }
  )
  const merged = 'Order 12 white chairs by Friday'
  const mergedResult = await step(
    `Bob is back with "${twelve} by Friday"`,
    async () => {
      await bob.join(listId)
      return bob.push(listId, setText(itemId, twelve, `${twelve} by Friday`))
    },
    {
      [`Ann, /live: "${merged}"`]: ann.change('item.updated', textIs(merged)),
      [`Bob, /live: "${merged}"`]: bob.change('item.updated', textIs(merged))
    }
  )
  check('both edits are in the text, without a question', mergedResult.outcome === 'merged')

  const [fifteen, twenty] = ['15', '20'].map(count => merged.replace('12', count)) as [
    string,
    string
  ]
  await step(`Ann writes "${fifteen}"`, () => ann.push(listId, setText(itemId, merged, fifteen)), {
    'Bob, /live: item.updated': bob.change('item.updated', textIs(fifteen))
  })
  const conflict = await step(
    `Bob has not looked and writes "${twenty}"`,
    () => bob.push(listId, setText(itemId, merged, twenty)),
    {
      'Ann, /live: conflict.opened, 15 is live, 20 kept': ann.change('conflict.opened'),
      'Bob, /live: conflict.opened, 15 is live, 20 kept': bob.change('conflict.opened')
    }
  )
  check('Bob is told of the conflict, nothing is overwritten', conflict.outcome === 'conflict')
  const { conflictId = '' } = conflict
  await step(
    'Ann chooses what Bob wrote',
    () =>
      ann.push(listId, { kind: 'conflict.resolve', conflictId, choice: 'theirs', seen: fifteen }),
    {
      'Bob, /live: conflict.resolved': bob.change('conflict.resolved'),
      [`Bob, /live: "${twenty}"`]: bob.change('item.updated', textIs(twenty))
    }
  )

  const insert = (n: number) =>
    sql`insert into checklist_items (checklist_id, text) values (${listId}, ${tableText(n)})`
  const killed = await step(
    `somebody inserts ${BURST - 1} items with SQL, one commit each; every LISTEN connection is killed twice`,
    async () => {
      let killed = 0
      for (let n = 1; n < BURST; n++) {
        await insert(n)
        if (n === 30 || n === 60) killed += await killListeners(sql)
      }
      return killed
    }
  )
  const isLast = textIs(tableText(BURST))
  await step(`and number ${BURST}`, () => insert(BURST), {
    [`Ann, /live: number ${BURST}`]: ann.change('item.added', isLast),
    [`Bob, /live: number ${BURST}`]: bob.change('item.added', isLast),
    [`Bob, /events: number ${BURST}`]: bob.event('item.added', ({ data }) => isLast(data))
  })
  check(`${killed} connections were killed`, killed >= 2)
  check(`Bob was sent all ${BURST} on /live, each once, in order`, isGapless(bob))
  check(`Bob was sent all ${BURST} on /events, each once, in order`, isCounting(bob))

  await step("Bob's stream of /events breaks", () => bob.hangUp())
  const seen = bob.feed.all.length
  await step('Ann renames the list, then the project', async () => {
    await ann.push(listId, { kind: 'list.rename', from: 'To do', to: 'To do by Friday' })
    await ann.request('PATCH', `/projects/${project.id}`, { name: 'Autumn fair' })
  })
  await step('Bob opens /events again with his Last-Event-ID', () => bob.listen(), {
    'Bob, /events: checklist.updated': bob.event('checklist.updated'),
    'Bob, /events: project.updated': bob.event('project.updated')
  })
  const missed = bob.feed.all.slice(seen).map(({ event }) => event)
  check(
    'these two and nothing twice',
    missed.filter(event => event !== 'ready').join() === 'checklist.updated,project.updated'
  )

  await step(
    'Ann removes Bob from the project',
    () => ann.request('DELETE', `${members}/${bobsId}`),
    {
      'Bob, /events: member.removed': bob.event('member.removed'),
      'Bob, /live: revoked': bob.live.next(({ type }) => type === 'revoked')
    }
  )
  const last = bob.feed.all.length
  await step('Ann writes a secret', () =>
    ann.push(listId, { kind: 'item.add', itemId: randomUUID(), text: 'Surprise', after: null })
  )
  await step(
    'Bob creates a project of his own',
    () => bob.request('POST', '/projects', { name: 'Home' }),
    { 'Bob, /events: project.created': bob.event('project.created') }
  )
  check('it is the next thing that Bob hears', bob.feed.all[last]?.event === 'project.created')
  ann.goOffline()
  bob.goOffline()
  ann.hangUp()
  bob.hangUp()
  return end()
}

function tableText(n: number): string {
  return `Table ${n}`
}

/** A node of the service on a free port; answers its address. */
async function startNode(url: string): Promise<string> {
  const node = build({
    env: { DATABASE_URL: url, JWT_SECRET, LOG_LEVEL: 'silent' }
  })
  cleanUps.unshift(() => node.close())
  return node.listen({ host: '127.0.0.1', port: 0 })
}

/** Ends the LISTEN connections of all nodes, and answers how many there were. */
async function killListeners(sql: postgres.Sql): Promise<number> {
  const killed = await sql`
    select pg_terminate_backend(pid)
    from pg_stat_activity
    where application_name = 'concord listen'`
  return killed.length
}

function setText(itemId: string, from: string, to: string): Wish {
  return { kind: 'item.set', itemId, set: { text: { from, to } } }
}

function untick(itemId: string): Wish {
  return { kind: 'item.set', itemId, set: { done: { from: true, to: false } } }
}

function bySql({ source }: { source: string }): boolean {
  return source === 'sql'
}

function textIs(text: string) {
  return ({ after }: { after?: object }) => (after as { text?: string })?.text === text
}

/** Whether the revisions of every message follow those of the one before. */
function isGapless({ live }: Person): boolean {
  const pages = live.all.filter(({ type }) => type === 'changes')
  return pages.every(({ from }, n) => n === 0 || from === (pages[n - 1]?.to ?? 0) + 1)
}

/** Whether the burst came with nothing missing, doubled or out of order. */
function isCounting({ feed }: Person): boolean {
  const tables = feed.all.flatMap(
    ({ data }) => /^Table (\d+)$/.exec(data.after?.text ?? '')?.[1] ?? []
  )
  return tables.length === BURST && tables.every((table, n) => Number(table) === n + 1)
}

function print(line: string) {
  process.stdout.write(`${line}\n`)
}

/** Undoes what was done, the last first, once. */
function cleanUp(): Promise<void> {
  ending ??= (async () => {
    for (const undo of cleanUps) await undo()
  })()
  return ending
}
