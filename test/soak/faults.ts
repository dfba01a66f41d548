import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import type { Sql } from '../../sql/executor.ts'
import { cuts } from './cut.ts'
import type { Stage } from './harness.ts'
import type { ServiceNode } from './node.ts'
import { signal } from './process.ts'

export type FaultName = keyof typeof faults

const limits = {
  // Longer than it takes to find out.
  frozenListenerMs: 12_000,
  // Long enough, at times, for the pools to be made anew.
  frozenMs: 40_000,
  steppedMs: 8000,
  awayMs: 30_000,
  openMs: 120_000,
  stopMs: 15_000
}

/** Everything that happens to services. Each resolves when it has been done and undone. */
export const faults = {
  async killListeners({ world: { sql } }: Stage) {
    await terminate(sql, 'concord listen')
  },

  async killReaders({ world: { sql } }: Stage) {
    await terminate(sql, 'concord tail')
  },

  async killPools({ world: { sql } }: Stage) {
    await terminate(sql, 'concord')
  },

  /** A backend that hangs: found by heartbeat, and delivery goes on by polling. */
  async freezeListener({ world: { sql }, random }: Stage) {
    const rows = await persist(
      () => sql<{ pid: number }[]>`
        select pid
        from pg_stat_activity
        where application_name = 'concord listen'`
    )
    if (rows.length === 0) return
    const { pid } = random.pick(rows)
    signal(pid, 'SIGSTOP')
    await sleep(limits.frozenListenerMs)
    signal(pid, 'SIGCONT')
  },

  async freezeDatabase({ database, random }: Stage, ms = random.next() ** 3 * limits.frozenMs) {
    const thaw = await database.freeze()
    await sleep(ms)
    thaw()
  },

  async killDatabase({ database, random }: Stage, ms = random.next() ** 2 * limits.awayMs) {
    await database.kill()
    await sleep(ms)
    await database.start()
  },

  /** Somebody begins, and commits long after the others went on. */
  async holdTransaction(
    { world, database, random }: Stage,
    ms = random.next() ** 2 * limits.openMs
  ) {
    const [{ id: projectId, listIds }] = world.projects as [Stage['world']['projects'][0]]
    const sql = postgres(database.url, { max: 1, onnotice: () => {} })
    await sql
      .begin(async tx => {
        await tx`insert into checklist_items (checklist_id, text) values (${listIds[0] as string}, 'begun')`
        await tx`insert into checklists (project_id, title) values (${projectId}, 'Begun')`
        await sleep(ms)
      })
      .catch(() => {}) // refused because the list is full, or for the sake of another
    await sql.end({ timeout: 1 })
  },

  async killNode({ nodes, random }: Stage) {
    const node = random.pick(nodes)
    await node.stop('SIGKILL')
    await node.start()
  },

  async stopNode(stage: Stage) {
    await restart(stage, stage.random.pick(stage.nodes))
  },

  async rollingRestart(stage: Stage) {
    for (const node of stage.nodes) await restart(stage, node)
  },

  /** The clock of one node goes a day ahead, and back. */
  async stepClock({ nodes, random }: Stage) {
    const { pid } = random.pick(nodes)
    if (!pid) return
    signal(pid, 'SIGWINCH')
    await sleep(random.next() * limits.steppedMs)
    signal(pid, 'SIGWINCH')
  },

  /** Everybody is cut off at once. */
  async cutEverybody({ streams, sockets, random }: Stage) {
    for (const follower of [...streams, ...sockets]) follower.cut(random.pick(cuts))
  }
}

async function restart({ complaints }: Stage, node: ServiceNode) {
  const { code, ms } = await node.stop('SIGTERM')
  if (code !== 0) complaints.push(`a node that was told to stop exited with ${code}`)
  if (ms > limits.stopMs) complaints.push(`a node took ${Math.round(ms)} ms to stop`)
  await node.start()
}

async function terminate(sql: Sql, name: string) {
  await persist(
    () => sql`
      select pg_terminate_backend(pid)
      from pg_stat_activity
      where application_name = ${name}
      and pid <> pg_backend_pid()`
  )
}

// Whoever causes faults meets them as well.
async function persist<T>(query: () => Promise<T>): Promise<T> {
  for (let n = 1; ; n++) {
    try {
      return await query()
    } catch (error) {
      if (n === 50) throw error
      await sleep(100)
    }
  }
}
