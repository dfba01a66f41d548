import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'

// The key of the advisory lock ("cond" in ASCII).
const CLAIM = 0x636f6e64
const limits = { waitMs: 3_000, retryMs: 200, relockMs: 1_000 }

/** The exclusive right to a cluster. It is an advisory lock, which PostgreSQL releases when this process ends. */
export interface Claim {
  /** From now on, a lost connection is not opened again. */
  release(): void
  end(): Promise<void>
}

/**
 * Claims the cluster, and creates the database `concord` if it is missing. All services must pass the same database in
 * `url`, because advisory locks of different databases do not exclude each other. Waits up to 3 s for the lock, which a
 * service that was just killed may still hold. Then throws an error with a one-sentence message.
 */
export async function claimCluster(url: string, data: string): Promise<Claim> {
  let isReleased = false
  const sql = postgres(url, {
    max: 1,
    // By default the driver replaces a connection after some time, which would release the lock.
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

/** Returns whether an error means that the database is starting or stopping, so that a retry may succeed. */
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
