import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { build } from '../app.ts'
import { startPostgres } from '../lib/embedded-postgres/server.ts'
import { createDemoClient } from './demo/client.ts'
import { insertWhileListenersDie, removeBob, resumeStream } from './demo/delivery.ts'
import { createSharedChecklist, editItem, mergeEdits, resolveConflict } from './demo/editing.ts'
import { createTimeline } from './demo/timeline.ts'

/*
 * Runs two users on two nodes of the service, and makes changes with SQL. The nodes share only a temporary database.
 * Prints each step, the users who received it, and the latency. Exits with code 0 when all deliveries arrived in time,
 * otherwise with code 1.
 *
 * npm run demo
 */
const deadlineMs = 10_000
const jwtSecret = randomBytes(32).toString('hex')

const folder = await mkdtemp(join(tmpdir(), 'concord-demo-'))
let ending: Promise<void> | undefined
const cleanUps: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true })]
process.once('SIGINT', async () => {
  await cleanUp()
  process.exit(130)
})

try {
  process.exitCode = (await runDemo()) ? 0 : 1
} catch (error) {
  process.exitCode = 1
  if (!ending) console.error(error)
} finally {
  await cleanUp()
}

async function runDemo(): Promise<boolean> {
  // Started by root, PostgreSQL runs as another user, which must be able to enter the folder.
  await chmod(folder, 0o755)
  const starting = startPostgres(folder, { fsync: 'off' })
  cleanUps.unshift(() => starting.then(({ stop }) => stop()))
  const database = await starting
  const nodes = [await startNode(database.url), await startNode(database.url)] as const
  const sql = postgres(database.url, { max: 1 })
  cleanUps.unshift(() => sql.end())

  print(
    `Ann uses the node ${nodes[0]}, Bob the node ${nodes[1]}. Both nodes use one new database.\n`
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
