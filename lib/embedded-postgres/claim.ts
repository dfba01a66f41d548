import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'

const CLAIM = 0x636f6e64 // "cond": one service a cluster
const limits = { patienceMs: 3_000, retryMs: 200, retakeMs: 1_000 }

/** The right to a cluster, held by an advisory lock that dies with this process. */
export interface Claim {
  /** The connection may be lost from now on without being taken again. */
  release(): void
  end(): Promise<void>
}

/**
 * Claims the cluster behind `url`, whose database must always be the same one, because advisory
 * locks count per database. Waits a moment for the lock of a service that was just killed, then
 * throws one sentence. Makes the database `concord` when it is missing.
 */
export async function claim(url: string, data: string): Promise<Claim> {
  let released = false
  const sql = postgres(url, {
    max: 1,
    // A connection of a pool is renewed now and then, and the lock would go with it.
    max_lifetime: null,
    onnotice: () => {},
    onclose: () => released || retake(),
    connection: { application_name: 'concord claim' }
  })
  try {
    await takeInTime()
    const [there] = await sql`select from pg_database where datname = 'concord'`
    if (!there) await sql`create database concord`
  } catch (error) {
    released = true
    await sql.end({ timeout: 0 })
    throw error
  }
  return {
    release() {
      released = true
    },
    end: () => sql.end({ timeout: 0 })
  }

  async function takeInTime() {
    const deadline = Date.now() + limits.patienceMs
    while (!(await take())) {
      if (Date.now() > deadline) {
        throw new Error(
          `another service runs on the database in ${data}: stop it, or give this one a DATA_DIR of its own`
        )
      }
      await sleep(limits.retryMs)
    }
  }

  async function take(): Promise<boolean> {
    const [row] = await sql<[{ taken: boolean }]>`select pg_try_advisory_lock(${CLAIM}) as taken`
    return row.taken
  }

  function retake() {
    setTimeout(() => released || take().catch(retake), limits.retakeMs).unref()
  }
}

/** Whether a failure is that of a database which is starting, stopping or being started by another. */
export function isTransient(error: unknown): boolean {
  const { code } = error as { code?: string }
  return TRANSIENT.has(code ?? '')
}

const TRANSIENT = new Set([
  'NOT_STARTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'CONNECTION_CLOSED',
  'CONNECT_TIMEOUT',
  '57P01',
  '57P02',
  '57P03'
])
