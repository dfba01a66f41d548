import { setTimeout as sleep } from 'node:timers/promises'
import type { Sql } from '../../sql/executor.ts'
import type { Random } from '../../test/random.ts'
import type { Database } from './database.ts'
import type { ServiceNode } from './node.ts'
import { signal } from './process.ts'

export interface Stage {
  sql: Sql
  random: Random
  database: Database
  nodes: ServiceNode[]
  /** what went wrong with a fault itself: a node that does not stop, an exit code */
  complaints: string[]
}

export type FaultName = keyof typeof faults

/** Everything that happens to services. Each resolves when it has been done and undone. */
export const faults = {
  async killListeners({ sql }: Stage) {
    await terminate(sql, 'concord listen')
  },

  async killReaders({ sql }: Stage) {
    await terminate(sql, 'concord tail')
  },

  async killPools({ sql }: Stage) {
    await terminate(sql, 'concord')
  },

  /** A backend that hangs: found by heartbeat, and delivery goes on by polling. */
  async freezeListener({ sql, random }: Stage) {
    const rows = await persist(
      () => sql<{ pid: number }[]>`
        select pid
        from pg_stat_activity
        where application_name = 'concord listen'`
    )
    if (rows.length === 0) return
    const { pid } = random.pick(rows)
    signal(pid, 'SIGSTOP')
    await sleep(12_000)
    signal(pid, 'SIGCONT')
  },

  async freezeDatabase({ database, random }: Stage) {
    const thaw = await database.freeze()
    await sleep(random.next() * 8000)
    thaw()
  },

  async killDatabase({ database, random }: Stage) {
    await database.kill()
    await sleep(random.next() * 8000)
    await database.start()
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
  }
}

async function restart({ complaints }: Stage, node: ServiceNode) {
  const { code, ms } = await node.stop('SIGTERM')
  if (code !== 0) complaints.push(`a node that was told to stop exited with ${code}`)
  if (ms > 15_000) complaints.push(`a node took ${Math.round(ms)} ms to stop`)
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
