import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Sql } from '../../sql/executor.ts'
import { freePort } from '../support/free-port.ts'
import { createRandom, type Random } from '../support/random.ts'
import { createDatabase, type Database } from './database.ts'
import { createNode, type ServiceNode } from './node.ts'
import { judgeLog, judgeSocket, judgeStream, readLog } from './oracle.ts'
import { followSocket, type SocketFollower } from './socket-follower.ts'
import { followStream, type StreamFollower } from './stream-follower.ts'
import { createWorld, type World } from './world.ts'
import { startWriters } from './writers.ts'

export interface StageOptions {
  seed: number
  nodes?: number
  streams?: number
  sockets?: number
}

/** What faults happen to. */
export interface Stage {
  random: Random
  database: Database
  nodes: ServiceNode[]
  world: World
  streams: StreamFollower[]
  sockets: SocketFollower[]
  /** how many writes went through, and how many were refused because something was away */
  written: { done: number; refused: number }
  /** what went wrong with a fault itself: a node that does not stop, an exit code */
  complaints: string[]
}

export interface Verdict {
  events: number
  deliveries: number
  /** of followers, over all the time */
  connections: number
  /** everything that was lost, doubled, out of order, foreign, leaked or stuck; empty when all is well */
  wrong: string[]
}

const limits = { catchUpMs: 60_000, pollMs: 100, poolMax: 15 }

/**
 * Real nodes on a real database, and subscribers who come and go. Ends whatever it has begun when it cannot be
 * made whole, and when this process exits.
 */
export async function createStage({
  seed,
  nodes: count = 2,
  streams = 40,
  sockets = 14
}: StageOptions) {
  const random = createRandom(seed)
  const database = await createDatabase()
  const nodes: ServiceNode[] = []
  try {
    for (let n = 0; n < count; n++) {
      const node = createNode(database.url, await freePort())
      nodes.push(node)
      await node.start()
    }
    const addresses = nodes.map(({ address }) => address)
    const world = await createWorld(database.url, addresses, random)
    const stage: Stage = {
      random,
      database,
      nodes,
      world,
      ...followers(world, streams, sockets),
      written: { done: 0, refused: 0 },
      complaints: []
    }
    return Object.assign(stage, {
      play: (during: () => Promise<unknown>) => play(stage, during),
      judge: () => judge(stage),
      close: () => close(stage)
    })
  } catch (error) {
    await remove(nodes, database)
    throw error
  }
}

function followers(world: World, streamCount: number, socketCount: number) {
  const { members, guests, projects } = world
  const people = [...members.map(({ person }) => person), ...guests]
  const streams = Array.from({ length: streamCount }, (_, n) =>
    followStream(world, people[n % people.length] as World['guests'][0], n % 5 !== 0)
  )
  const sockets = Array.from({ length: socketCount }, (_, n) => {
    const { person, projectIds } = members[n % members.length] as World['members'][0]
    const mine = projects.filter(({ id }) => projectIds.includes(id))
    const listIds = mine.flatMap(({ listIds }) => listIds)
    return followSocket(world, person, listIds)
  })
  return { streams, sockets }
}

/** Everybody writes, comes and goes while something happens. */
async function play({ world, written }: Stage, during: () => Promise<unknown>) {
  world.isCalm = false
  const writers = startWriters(world, written)
  try {
    await during()
  } finally {
    world.isCalm = true
    await writers.stop()
  }
}

/** Waits until the last has been told, and judges everything since the beginning. */
async function judge({ world, nodes, streams, sockets, complaints }: Stage): Promise<Verdict> {
  const { sql } = world
  const end = await sayGoodBye(world)
  const late = await everybodyIsTold(sql, end, streams, sockets)
  const leaks = await judgeConnections(sql, nodes.length)
  const log = await readLog(sql)
  const wrong = [...complaints.splice(0), ...late, ...leaks, ...(await judgeLog(sql, log))]
  for (const stream of streams) wrong.push(...judgeStream(log, stream))
  for (const socket of sockets) wrong.push(...(await judgeSocket(sql, log, socket)))
  return {
    events: log.length,
    deliveries: sum(streams, ({ heard }) => heard.length) + sum(sockets, ({ changes }) => changes),
    connections: sum([...streams, ...sockets], ({ connections }) => connections),
    wrong
  }
}

/** Stops everything, and answers what did not stop as it should. */
async function close({ world, nodes, streams, sockets, database }: Stage): Promise<string[]> {
  const wrong: string[] = []
  try {
    await Promise.all([...streams, ...sockets].map(follower => follower.stop()))
    for (const node of nodes) {
      const { code } = await node.stop('SIGTERM')
      if (code !== 0)
        wrong.push(`a node exited with ${code}: ${node.complaints.join('').slice(-2000)}`)
    }
  } finally {
    await world.sql.end({ timeout: 1 })
    await remove(nodes, database)
  }
  return wrong
}

async function remove(nodes: ServiceNode[], database: Database) {
  for (const node of nodes) await node.stop('SIGKILL')
  await database.remove()
}

/** One last event that everybody is owed, guests as well; answers its place in the log. */
async function sayGoodBye({ sql, guests }: World): Promise<number> {
  for (;;) {
    const name = `The end ${randomUUID()}`
    try {
      await sql.begin(async tx => {
        await tx`update projects set name = ${name}`
        const [made] = await tx`insert into projects (name) values ('Farewell') returning id`
        await tx`
          insert into project_members (project_id, user_id, role)
          select ${made?.id}, id, 'owner'
          from unnest(${guests.map(({ id }) => id)}::uuid[]) as guest (id)`
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

async function everybodyIsTold(
  sql: Sql,
  end: number,
  streams: StreamFollower[],
  sockets: SocketFollower[]
) {
  const heads = new Map<string, number>()
  const isTold = ({ heard }: StreamFollower) => (heard.at(-1)?.pos ?? 0) >= end
  const isUpToDate = ({ views, unanswered }: SocketFollower) =>
    unanswered.size === 0 &&
    views.size > 0 &&
    [...views].every(([id, { rev }]) => rev === heads.get(id))
  for (const deadline = performance.now() + limits.catchUpMs; performance.now() < deadline; ) {
    // What was sent again may still have been committed.
    for (const { id, rev } of await sql<{ id: string; rev: number }[]>`
      select checklist_id as id, rev
      from checklist_revs`)
      heads.set(id, rev)
    if (streams.every(isTold) && sockets.every(isUpToDate)) break
    await sleep(limits.pollMs)
  }
  // The last of several events of one commit.
  await sleep(1000)
  return [
    ...streams
      .filter(one => !isTold(one))
      .map(({ state }) => `a stream was never told the end: ${state}`),
    ...sockets.filter(one => !isUpToDate(one)).map(() => 'a socket is not up to date')
  ]
}

/** Every node has one connection that listens, one that reads, and a pool within its bounds. */
async function judgeConnections(sql: Sql, nodes: number): Promise<string[]> {
  const rows = await sql<{ name: string; count: number }[]>`
    select application_name as name, count(*)::int
    from pg_stat_activity
    where application_name like 'concord%'
    group by 1`
  const most: Record<string, number> = {
    'concord listen': nodes,
    'concord tail': nodes,
    // and the one of this harness
    concord: nodes * limits.poolMax + 12
  }
  return rows
    .filter(({ name, count }) => count > (most[name] ?? 0))
    .map(({ name, count }) => `${count} connections ${name}`)
}

function sum<T>(values: T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0)
}
