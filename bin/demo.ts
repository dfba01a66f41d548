import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { build } from '../app.ts'
import { startPostgres } from '../lib/embedded-postgres/server.ts'
import { createDemoClient } from './demo/client.ts'
import { insertWhileListenersDie, removeBob, resumeStream } from './demo/delivery.ts'
import { createSharedChecklist, editItem, mergeEdits, resolveConflict } from './demo/editing.ts'
import { fillService, password, people } from './demo/fill.ts'
import { createTimeline } from './demo/timeline.ts'

/*
 * Runs two users on two nodes of the service, and makes changes with SQL. The nodes share only a temporary database.
 * Prints each step, the users who received it, and the latency. Exits with code 0 when all deliveries arrived in time,
 * otherwise with code 1.
 *
 * With `--open`, starts one node with three users, projects and lists instead, to try the page in a browser. Runs until
 * Ctrl+C.
 *
 * npm run demo
 * npm run demo -- --open
 */
const { values: options } = parseArgs({ options: { open: { type: 'boolean', default: false } } })
const deadlineMs = 10_000
const jwtSecret = randomBytes(32).toString('hex')

const folder = await mkdtemp(join(tmpdir(), 'concord-demo-'))
let ending: Promise<void> | undefined
const cleanUps: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true })]
// For one Ctrl+C, both the terminal and npm send a SIGINT.
process.on('SIGINT', async () => {
  await cleanUp()
  process.exit(options.open ? 0 : 130)
})

try {
  // PostgreSQL runs as another user when root starts it. This user must be able to enter the folder.
  await chmod(folder, 0o755)
  if (options.open) await openDemo()
  else process.exitCode = (await runDemo()) ? 0 : 1
} catch (error) {
  process.exitCode = 1
  if (!ending) console.error(error)
} finally {
  await cleanUp()
}

/** Starts a node, fills it, and prints how to sign in. Returns when the process is interrupted. */
async function openDemo() {
  const url = await startNode((await startDatabase()).url)
  await fillService(url)
  const rows = people.map(({ email, role }) => `${email.padEnd(18)} ${role} of “Summer fair”`)
  print(`Concord    ${url}

Sign in    ${rows.join('\n           ')}
Password   ${password}

To be two people in one browser, open ${url}
and ${url.replace('127.0.0.1', 'localhost')}, which have cookies of their own.
Ctrl+C stops the service and deletes everything.`)
  // Timers and connections of the node keep the process running until a SIGINT ends it.
  await new Promise(() => {})
}

async function startDatabase() {
  const starting = startPostgres(folder, { fsync: 'off' })
  cleanUps.unshift(() => starting.then(({ stop }) => stop()))
  return starting
}

async function runDemo(): Promise<boolean> {
  const database = await startDatabase()
  const nodes = [await startNode(database.url), await startNode(database.url)] as const
  const sql = postgres(database.url, { max: 1 })
  cleanUps.unshift(() => sql.end())

  print(
    `Ann uses the node ${nodes[0]}, Bob the node ${nodes[1]}. Both nodes use one new database.\n` +
      'To click around in such a service, run: npm run demo -- --open\n'
  )
  const { step, check, end } = createTimeline({ deadlineMs, print })
  const ann = await step('Ann signs up and in', () => createDemoClient(nodes[0], 'Ann'))
  const bob = await step('Bob signs up and in', () => createDemoClient(nodes[1], 'Bob'))
  await step('Both open GET /events', () => Promise.all([ann.openStream(), bob.openStream()]))

  const demo = { ann, bob, sql, step, check }
  const { projectId, listId, bobId } = await createSharedChecklist(demo)
  const item = await editItem(demo, listId)
  const merged = await mergeEdits(demo, listId, item)
  await resolveConflict(demo, listId, { ...item, text: merged })
  await insertWhileListenersDie(demo, listId)
  await resumeStream(demo, { projectId, listId })
  await removeBob(demo, { projectId, listId, bobId })
  for (const client of [ann, bob]) {
    client.loseConnection()
    client.closeStream()
  }
  return end()
}

/** Starts a node of the service on a free port. Returns its address. */
async function startNode(url: string): Promise<string> {
  const node = build({
    env: { DATABASE_URL: url, JWT_SECRET: jwtSecret, LOG_LEVEL: 'silent' }
  })
  cleanUps.unshift(() => node.close())
  return node.listen({ host: '127.0.0.1', port: 0 })
}

function print(line: string) {
  process.stdout.write(`${line}\n`)
}

/** Runs the clean-up functions in order. A second call waits for the same run. */
function cleanUp(): Promise<void> {
  ending ??= (async () => {
    for (const undo of cleanUps) await undo()
  })()
  return ending
}
