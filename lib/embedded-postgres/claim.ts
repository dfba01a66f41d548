import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'

// The key of the advisory lock ("cond" in ASCII).
const CLAIM = 0x636f6e64
const limits = { waitMs: 3_000, retryMs: 200, relockMs: 1_000 }

/** The exclusive right to a cluster: an advisory lock, which PostgreSQL releases when this process dies. */
export interface Claim {
  /** From now on a lost connection is not replaced. */
  release(): void
  end(): Promise<void>
}

/**
 * Claims the cluster behind `url` for this service and creates its database `concord` if it is missing. `url` must always
 * name the same database, because advisory locks count per database. Waits up to 3 s for the lock of a service that was
 * just killed, then throws one sentence.
 */
export async function claimCluster(url: string, data: string): Promise<Claim> {
  let isReleased = false
  const sql = postgres(url, {
    max: 1,
    // The default replaces a connection after some time, and the lock would be lost with it.
    max_lifetime: null,
    onnotice: () => {},
    onclose: () => isReleased || lockAgain(),
    connection: { application_name: 'concord claim' }
  })
  try {
    await waitForLock()
    const [existing] = await sql`select from pg_database where datname = 'concord'`
    if (!existing) await sql`create database concord`
  } catch (error) {
    isReleased = true
    await sql.end({ timeout: 0 })
    throw error
  }
  return {
    release() {
      isReleased = true
    },
    end: () => sql.end({ timeout: 0 })
  }

  async function waitForLock() {
    const deadline = Date.now() + limits.waitMs
    while (!(await tryLock())) {
      if (Date.now() > deadline) {
        throw new Error(
          `another service runs on the database in ${data}: stop it, or give this one a DATA_DIR of its own`
        )
      }
      await sleep(limits.retryMs)
    }
  }

  async function tryLock(): Promise<boolean> {
    const [row] = await sql<[{ locked: boolean }]>`select pg_try_advisory_lock(${CLAIM}) as locked`
    return row.locked
  }

  function lockAgain() {
    setTimeout(() => isReleased || tryLock().catch(lockAgain), limits.relockMs).unref()
  }
}

/** Returns whether an error comes from a database that starts, stops, or is being started by another process. */
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
