import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Sql } from '../../sql/executor.ts'
import { freePort } from '../support/free-port.ts'
import { type NatsServer, startNats } from '../support/nats-server.ts'
import { createRandom, type Random } from '../support/random.ts'
import { createFixtures, type Fixtures } from './fixtures.ts'
import { createNode, type ServiceNode } from './node.ts'
import { checkLog, checkSocket, checkStream, readLog } from './oracle.ts'
import { createPostgres, type SoakPostgres } from './postgres.ts'
import { followSocket, type SocketFollower } from './socket-follower.ts'
import { followStream, type StreamFollower } from './stream-follower.ts'
import { startWriters } from './writers.ts'

export interface HarnessOptions {
  seed: number
  nodes?: number
  /** of each node */
  workers?: number
  /** whether the nodes receive the log from NATS */
  nats?: boolean
  streams?: number
  sockets?: number
  /** mean time between two writes of one writer */
  pauseMs?: number
}

/** The running parts of the soak test, into which faults are injected. */
export interface Harness {
  random: Random
  database: SoakPostgres
  nodes: ServiceNode[]
  /** of each node */
  workers: number
  nats?: NatsServer
  fixtures: Fixtures
  streams: StreamFollower[]
  sockets: SocketFollower[]
  pauseMs: number
  /** how many writes succeeded, and how many failed because the database or a node was down */
  written: { done: number; refused: number }
  /** errors of a fault itself, such as a node that does not stop or its exit code */
  faultErrors: string[]
}

export interface Outcome {
  events: number
  deliveries: number
  /** number of connections of all followers since the start */
  connections: number
  /** every event or connection that was lost, doubled, out of order, unauthorised, leaked or stuck */
  violations: string[]
}

const limits = { catchUpMs: 60_000, pollMs: 100, poolMax: { 1: 15, 2: 8, more: 6 } }

/**
 * Starts real nodes on a real database, with subscribers that connect and disconnect. Stops them all when the start
 * fails, and when this process exits.
 */
export async function startHarness({
  seed,
  nodes: count = 2,
  workers = 1,
  nats: hasNats = false,
  streams = 40,
  sockets = 14,
  pauseMs = 150
}: HarnessOptions) {
  const random = createRandom(seed)
  const database = await createPostgres()
  const nats = hasNats ? await startNats() : undefined
  const nodes: ServiceNode[] = []
  try {
    for (let n = 0; n < count; n++) {
      const env = { WORKERS: String(workers), ...(nats && { NATS_URL: nats.url }) }
      const node = createNode(database.url, await freePort(), env)
      nodes.push(node)
      await node.start()
    }
    const addresses = nodes.map(({ address }) => address)
    const fixtures = await createFixtures(database.url, addresses, random)
    const harness: Harness = {
      random,
      database,
      nodes,
      workers,
      nats,
      fixtures,
      ...followers(fixtures, streams, sockets),
      pauseMs,
      written: { done: 0, refused: 0 },
      faultErrors: []
    }
    return Object.assign(harness, {
      run: (during: () => Promise<unknown>) => run(harness, during),
      check: () => check(harness),
      close: () => close(harness)
    })
  } catch (error) {
    await remove(nodes, database, nats)
    throw error
  }
}

function followers(fixtures: Fixtures, streamCount: number, socketCount: number) {
  const { members, temporaryMembers, projects } = fixtures
  const accounts = [...members.map(({ account }) => account), ...temporaryMembers]
  const streams = Array.from({ length: streamCount }, (_, n) =>
    followStream(
      fixtures,
      accounts[n % accounts.length] as Fixtures['temporaryMembers'][0],
      n % 5 !== 0
    )
  )
  const sockets = Array.from({ length: socketCount }, (_, n) => {
    const { account, projectIds } = members[n % members.length] as Fixtures['members'][0]
    const mine = projects.filter(({ id }) => projectIds.includes(id))
    const listIds = mine.flatMap(({ listIds }) => listIds)
    return followSocket(fixtures, account, listIds)
  })
  return { streams, sockets }
}

/** Runs writers, and followers that disconnect now and then, while `during` runs. */
async function run({ fixtures, written, pauseMs }: Harness, during: () => Promise<unknown>) {
  fixtures.isQuiet = false
  const writers = startWriters(fixtures, written, pauseMs)
  try {
    await during()
  } finally {
    fixtures.isQuiet = true
    await writers.stop()
  }
}

/** Waits until every follower has received the last event, then checks everything since the start. */
async function check({
  fixtures,
  nodes,
  workers,
  streams,
  sockets,
  faultErrors
}: Harness): Promise<Outcome> {
  const { sql } = fixtures
  const end = await writeLastEvent(fixtures)
  const late = await waitForLastEvent(sql, end, streams, sockets)
  const leaks = await checkConnections(sql, nodes.length, workers)
  const log = await readLog(sql)
  const violations = [...faultErrors.splice(0), ...late, ...leaks, ...(await checkLog(sql, log))]
  for (const stream of streams) violations.push(...checkStream(log, stream))
  for (const socket of sockets) violations.push(...(await checkSocket(sql, log, socket)))
  return {
    events: log.length,
    deliveries:
      sum(streams, ({ received }) => received.length) + sum(sockets, ({ changes }) => changes),
    connections: sum([...streams, ...sockets], ({ connections }) => connections),
    violations
  }
}

/** Stops everything. Returns a line for each process that did not exit with 0. */
async function close({
  fixtures,
  nodes,
  streams,
  sockets,
  database,
  nats
}: Harness): Promise<string[]> {
  const violations: string[] = []
  try {
    await Promise.all([...streams, ...sockets].map(follower => follower.stop()))
    for (const node of nodes) {
      const { code } = await node.stop('SIGTERM')
      if (code !== 0)
        violations.push(`a node exited with ${code}: ${node.output.join('').slice(-2000)}`)
    }
  } finally {
    await fixtures.sql.end({ timeout: 1 })
    await remove(nodes, database, nats)
  }
  return violations
}

async function remove(nodes: ServiceNode[], database: SoakPostgres, nats?: NatsServer) {
  for (const node of nodes) await node.stop('SIGKILL')
  await nats?.kill()
  await database.remove()
}

/** Writes an event that every follower receives, also those of temporary members. Returns its position. */
async function writeLastEvent({ sql, temporaryMembers }: Fixtures): Promise<number> {
  for (;;) {
    const name = `Last ${randomUUID()}`
    try {
      await sql.begin(async tx => {
        await tx`update projects set name = ${name}`
        const [made] = await tx`insert into projects (name) values ('Last') returning id`
        await tx`
          insert into project_members (project_id, user_id, role)
          select ${made?.id}, id, 'owner'
          from unnest(${temporaryMembers.map(({ id }) => id)}::uuid[]) as member (id)`
      })
      const [end] = await sql<[{ pos: number }]>`
        select min(pos) as pos
        from events
        where kind = 'project.updated'
        and after ->> 'name' = ${name}`
      return end.pos
    } catch {
      await sleep(limits.pollMs)
    }
  }
}

async function waitForLastEvent(
  sql: Sql,
  end: number,
  streams: StreamFollower[],
  sockets: SocketFollower[]
) {
  const heads = new Map<string, number>()
  const hasLastEvent = ({ received }: StreamFollower) => (received.at(-1)?.pos ?? 0) >= end
  const isUpToDate = ({ views, pending }: SocketFollower) =>
    pending.size === 0 &&
    views.size > 0 &&
    [...views].every(([id, { rev }]) => rev === heads.get(id))
  for (const deadline = performance.now() + limits.catchUpMs; performance.now() < deadline; ) {
    // Reads the revisions each time, because a resent operation may still be committed.
    for (const { id, rev } of await sql<{ id: string; rev: number }[]>`
      select checklist_id as id, rev
      from checklist_revs`)
      heads.set(id, rev)
    if (streams.every(hasLastEvent) && sockets.every(isUpToDate)) break
    await sleep(limits.pollMs)
  }
  // Waits for the other events of the last commit, which follow the event at `end`.
  await sleep(1000)
  return [
    ...streams
      .filter(stream => !hasLastEvent(stream))
      .map(({ state }) => `a stream did not receive the last event: ${state}`),
    ...sockets
      .filter(socket => !isUpToDate(socket))
      .map(() => 'a socket did not receive the last revision')
  ]
}

/** Checks that every node has one LISTEN connection, one log connection and a pool within its bounds. */
async function checkConnections(sql: Sql, nodes: number, workers: number): Promise<string[]> {
  const rows = await sql<{ name: string; count: number }[]>`
    select application_name as name, count(*)::int
    from pg_stat_activity
    where application_name like 'concord%'
    group by 1`
  // The primary has pools, too, of which it uses little.
  const processes = workers === 1 ? 1 : workers + 1
  const { more, ...known } = limits.poolMax
  const ofProcess = known[workers as keyof typeof known] ?? more
  const most: Record<string, number> = {
    'concord listen': nodes,
    'concord tail': nodes,
    'concord publisher': nodes,
    // includes the pool of this harness
    concord: nodes * processes * ofProcess + 12
  }
  return rows
    .filter(({ name, count }) => count > (most[name] ?? 0))
    .map(({ name, count }) => `${count} connections ${name}`)
}

function sum<T>(values: T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0)
}
