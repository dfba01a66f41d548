import { setTimeout as sleep } from 'node:timers/promises'
import type { Sql } from '../../sql/executor.ts'
import { createRandom } from '../../test/random.ts'
import { createDatabase, freePort } from './database.ts'
import { type FaultName, faults } from './faults.ts'
import { createNode, type ServiceNode } from './node.ts'
import { judgeLog, judgeSocket, judgeStream, readLog } from './oracle.ts'
import { followSocket, type SocketFollower } from './socket-follower.ts'
import { followStream, type StreamFollower } from './stream-follower.ts'
import { createWorld, type World } from './world.ts'
import { startWriters } from './writers.ts'

export interface SoakOptions {
  seed: number
  ms: number
  /** which faults happen, one after the other, at random; none: a quiet day */
  faults: FaultName[]
  nodes?: number
  streams?: number
  sockets?: number
  onProgress?: (line: string) => void
}

export interface Report {
  seed: number
  minutes: number
  events: number
  deliveries: number
  connections: number
  writes: number
  refusals: number
  faults: Record<string, number>
  /** everything that was lost, doubled, out of order, foreign or stuck; empty when all is well */
  wrong: string[]
}

const limits = { calmMs: 3000, catchUpMs: 60_000, pollMs: 100, poolMax: 8 }

/**
 * Real nodes on a real database, people who write in every way there is, subscribers who come and go, and
 * faults. At the end every subscriber must have been told exactly what SQL says they were entitled to.
 */
export async function soak(options: SoakOptions): Promise<Report> {
  const { seed, ms, nodes: count = 2, onProgress = () => {} } = options
  const begin = performance.now()
  const random = createRandom(seed)
  const database = await createDatabase()
  const nodes: ServiceNode[] = []
  let world: World | undefined
  try {
    for (let n = 0; n < count; n++) {
      const node = createNode(database.url, await freePort())
      nodes.push(node)
      await node.start()
    }
    world = await createWorld(
      database.url,
      nodes.map(({ address }) => address),
      random
    )
    const { streams, sockets } = followers(world, options)
    const writers = startWriters(world)
    const stage = { sql: world.sql, random, database, nodes, complaints: [] as string[] }
    const happened: Record<string, number> = {}

    const until = performance.now() + ms
    while (performance.now() < until) {
      await sleep(Math.min(limits.calmMs * random.next(), Math.max(until - performance.now(), 0)))
      if (options.faults.length === 0 || performance.now() > until) continue
      const name = random.pick(options.faults)
      onProgress(`${Math.round((performance.now() - begin) / 1000)} s: ${name}`)
      await faults[name](stage)
      happened[name] = (happened[name] ?? 0) + 1
    }
    const runMs = performance.now() - begin

    for (const follower of [...streams, ...sockets]) follower.calm()
    await writers.stop()
    await sayGoodBye(world)
    onProgress('everybody is quiet: waiting for the last to be told')
    const late = await everybodyIsTold(world.sql, streams, sockets)
    const leaks = await judgeConnections(world.sql, nodes.length)
    for (const follower of [...streams, ...sockets]) await follower.stop()

    const log = await readLog(world.sql)
    const wrong = [...stage.complaints, ...late, ...leaks, ...(await judgeLog(world.sql, log))]
    for (const stream of streams) wrong.push(...judgeStream(log, stream))
    for (const socket of sockets) wrong.push(...(await judgeSocket(world.sql, log, socket)))
    for (const node of nodes) {
      const { code } = await node.stop('SIGTERM')
      if (code !== 0)
        wrong.push(`a node exited with ${code}: ${node.complaints.join('').slice(-2000)}`)
    }
    const all = [...streams, ...sockets]
    if (wrong.length > 0)
      for (const { complaints } of nodes) onProgress(complaints.join('').slice(-3000))
    return {
      seed,
      minutes: Math.round(runMs / 600) / 100,
      events: log.length,
      deliveries:
        sum(streams, ({ heard }) => heard.length) + sum(sockets, ({ changes }) => changes),
      connections: sum(all, ({ connections }) => connections),
      writes: writers.writes,
      refusals: writers.refusals,
      faults: happened,
      wrong
    }
  } finally {
    await world?.sql.end({ timeout: 1 })
    for (const node of nodes) await node.stop('SIGKILL')
    await database.remove()
  }
}

function followers(
  world: World,
  { streams: streamCount = 40, sockets: socketCount = 14 }: SoakOptions
) {
  const { members, guests, projects } = world
  const people = [...members.map(({ person }) => person), ...guests]
  const streams = Array.from({ length: streamCount }, (_, n) =>
    followStream(world, people[n % people.length] as World['guests'][0], n % 5 !== 0)
  )
  const sockets = Array.from({ length: socketCount }, (_, n) => {
    const { person, projectIds } = members[n % members.length] as World['members'][0]
    const mine = projects.filter(({ id }) => projectIds.includes(id))
    return followSocket(
      world,
      person,
      mine.flatMap(({ listIds }) => listIds)
    )
  })
  return { streams, sockets }
}

/** One last event that everybody is owed, guests as well. */
async function sayGoodBye({ sql, guests }: World) {
  for (;;) {
    try {
      await sql.begin(async tx => {
        await tx`update projects set name = 'The end'`
        const [made] = await tx`insert into projects (name) values ('Farewell') returning id`
        await tx`
          insert into project_members (project_id, user_id, role)
          select ${made?.id}, id, 'owner'
          from unnest(${guests.map(({ id }) => id)}::uuid[]) as guest (id)`
      })
      return
    } catch {
      await sleep(limits.pollMs)
    }
  }
}

async function everybodyIsTold(sql: Sql, streams: StreamFollower[], sockets: SocketFollower[]) {
  const revs = await sql<
    { id: string; rev: number }[]
  >`select checklist_id as id, rev from checklist_revs`
  const heads = new Map(revs.map(({ id, rev }) => [id, rev]))
  const [end] = await sql<[{ pos: number }]>`
    select min(pos) as pos
    from events
    where kind = 'project.updated'
    and after ->> 'name' = 'The end'`
  const isTold = ({ heard }: StreamFollower) => (heard.at(-1)?.pos ?? 0) >= end.pos
  const isUpToDate = ({ views, unanswered }: SocketFollower) =>
    unanswered.size === 0 &&
    views.size > 0 &&
    [...views].every(([id, { rev }]) => rev === heads.get(id))
  const deadline = performance.now() + limits.catchUpMs
  while (performance.now() < deadline) {
    if (streams.every(isTold) && sockets.every(isUpToDate)) break
    await sleep(limits.pollMs)
    // What was sent again may still have been committed.
    for (const { id, rev } of await sql<{ id: string; rev: number }[]>`
      select checklist_id as id, rev
      from checklist_revs`)
      heads.set(id, rev)
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
