import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { isAlive } from '../../lib/embedded-postgres/postmaster.ts'
import type { Sql } from '../../sql/executor.ts'
import { childrenOf } from '../support/children.ts'
import { until } from '../support/until.ts'
import { disconnects } from './disconnects.ts'
import type { Harness } from './harness.ts'
import type { ServiceNode } from './node.ts'
import { signalProcess } from './process.ts'

export type FaultName = keyof typeof faults

const limits = {
  // longer than the heartbeat takes to detect a silent connection
  frozenListenerMs: 12_000,
  // the maximum, long enough for the service to replace its pools
  frozenMs: 40_000,
  steppedMs: 8000,
  awayMs: 30_000,
  openMs: 120_000,
  stopMs: 15_000,
  // longer than a worker takes that is frozen while it starts: the primary kills it after 60 s
  unnoticedMs: 80_000
}

/** The faults. Each function resolves when its fault has been injected and undone. */
export const faults = {
  async killListeners({ fixtures: { sql } }: Harness) {
    await terminate(sql, 'concord listen')
  },

  async killReaders({ fixtures: { sql } }: Harness) {
    await terminate(sql, 'concord tail')
  },

  async killPools({ fixtures: { sql } }: Harness) {
    await terminate(sql, 'concord')
  },

  /** Stops the backend of one LISTEN connection. The heartbeat detects this; polling delivers events meanwhile. */
  async freezeListener({ fixtures: { sql }, random }: Harness) {
    const rows = await retry(
      () => sql<{ pid: number }[]>`
        select pid
        from pg_stat_activity
        where application_name = 'concord listen'`
    )
    if (rows.length === 0) return
    const { pid } = random.pick(rows)
    signalProcess(pid, 'SIGSTOP')
    await sleep(limits.frozenListenerMs)
    signalProcess(pid, 'SIGCONT')
  },

  async freezeDatabase({ database, random }: Harness, ms = random.next() ** 3 * limits.frozenMs) {
    const thaw = await database.freeze()
    await sleep(ms)
    thaw()
  },

  async killDatabase({ database, random }: Harness, ms = random.next() ** 2 * limits.awayMs) {
    await database.kill()
    await sleep(ms)
    await database.start()
  },

  /** Holds a transaction with two writes open while others commit. */
  async holdTransaction(
    { fixtures, database, random }: Harness,
    ms = random.next() ** 2 * limits.openMs
  ) {
    const [{ id: projectId, listIds }] = fixtures.projects as [Harness['fixtures']['projects'][0]]
    const sql = postgres(database.url, { max: 1, onnotice: () => {} })
    await sql
      .begin(async tx => {
        await tx`insert into checklist_items (checklist_id, text) values (${listIds[0] as string}, 'begun')`
        await tx`insert into checklists (project_id, title) values (${projectId}, 'Begun')`
        await sleep(ms)
      })
      .catch(() => {}) // fails when the list is full, or in a deadlock
    await sql.end({ timeout: 1 })
  },

  async killNode({ nodes, random }: Harness) {
    const node = random.pick(nodes)
    await node.stop('SIGKILL')
    await node.start()
  },

  /** Kills one worker. With one worker, the node has no process for it, and nothing happens. */
  async killWorker(harness: Harness) {
    const pid = await pickWorker(harness)
    if (pid === undefined) return
    signalProcess(pid, 'SIGKILL')
    await until(() => !isAlive(pid), limits.stopMs)
  },

  /** Stops one worker without ending it. The primary detects that and kills it. */
  async freezeWorker(harness: Harness) {
    const pid = await pickWorker(harness)
    if (pid === undefined) return
    signalProcess(pid, 'SIGSTOP')
    await until(() => !isAlive(pid), limits.unnoticedMs)
  },

  /** Stops the processes of one node without ending them. Its locks and connections stay. */
  async freezeNode({ nodes, random }: Harness, ms = random.next() ** 2 * limits.frozenMs) {
    const { pid } = random.pick(nodes)
    if (pid === undefined) return
    const pids = [pid, ...(await childrenOf(pid))]
    for (const pid of pids) signalProcess(pid, 'SIGSTOP')
    await sleep(ms)
    for (const pid of pids) signalProcess(pid, 'SIGCONT')
  },

  /** Lets another node read the log for all, while the present one has not noticed yet. Needs NATS. */
  async killPublisher({ fixtures: { sql } }: Harness) {
    await terminate(sql, 'concord publisher')
  },

  async killNats({ nats, random }: Harness, ms = random.next() ** 2 * limits.awayMs) {
    await nats?.kill()
    await sleep(ms)
    await nats?.start()
  },

  async freezeNats({ nats, random }: Harness, ms = random.next() ** 2 * limits.awayMs) {
    nats?.signal('SIGSTOP')
    await sleep(ms)
    nats?.signal('SIGCONT')
  },

  async stopNode(harness: Harness) {
    await restart(harness, harness.random.pick(harness.nodes))
  },

  async rollingRestart(harness: Harness) {
    for (const node of harness.nodes) await restart(harness, node)
  },

  /** Sets the clock of one node a day ahead, and back. */
  async stepClock({ nodes, random }: Harness) {
    const { pid } = random.pick(nodes)
    if (!pid) return
    signalProcess(pid, 'SIGWINCH')
    await sleep(random.next() * limits.steppedMs)
    signalProcess(pid, 'SIGWINCH')
  },

  /** Disconnects all clients at once. */
  async disconnectAll({ streams, sockets, random }: Harness) {
    for (const follower of [...streams, ...sockets]) follower.disconnect(random.pick(disconnects))
  }
}

async function pickWorker({ nodes, random }: Harness): Promise<number | undefined> {
  const { pid } = random.pick(nodes)
  const pids = pid === undefined ? [] : await childrenOf(pid)
  return pids.length > 0 ? random.pick(pids) : undefined
}

async function restart({ faultErrors }: Harness, node: ServiceNode) {
  const { code, ms } = await node.stop('SIGTERM')
  if (code !== 0) faultErrors.push(`a node exited after SIGTERM with ${code}`)
  if (ms > limits.stopMs) faultErrors.push(`a node took ${Math.round(ms)} ms to stop`)
  await node.start()
}

async function terminate(sql: Sql, name: string) {
  await retry(
    () => sql`
      select pg_terminate_backend(pid)
      from pg_stat_activity
      where application_name = ${name}
      and pid <> pg_backend_pid()`
  )
}

// Repeats a query, because the faults also break the connections of the harness.
async function retry<T>(query: () => Promise<T>): Promise<T> {
  for (let n = 1; ; n++) {
    try {
      return await query()
    } catch (error) {
      if (n === 50) throw error
      await sleep(100)
    }
  }
}
