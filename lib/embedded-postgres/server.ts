import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, realpath } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readOrCreateFile } from '../files.ts'
import { type Cluster, loadBinaries, readLastFatal, runnerFor, sizeOf } from './binaries.ts'
import { type Claim, claimCluster, isTransient } from './claim.ts'
import { initialise } from './initialise.ts'
import { deleteStalePidFile, findPostmasterPort, isReady } from './postmaster.ts'
import { assertReachable, createPostgresUser, findSystemUser } from './system-user.ts'

const limits = { startMs: 120_000, checkMs: 5, stopSeconds: 60, waitMs: 10_000, retryMs: 200 }

/** A running PostgreSQL. No other service can use it until `stop()`. */
export interface Postgres {
  url: string
  /** the shell command that connects psql to this database; it does not contain the password */
  psql: string
  stop(): Promise<void>
}

/**
 * Starts PostgreSQL in `dataDir`, or uses the one that a killed service left there. `settings` are parameters of
 * postgresql.conf. `onProgress` receives a description of each step that takes seconds. Throws an error with a
 * one-sentence message.
 */
export async function startPostgres(
  dataDir: string,
  settings: Record<string, string> = {},
  onProgress: (step: string) => void = () => {}
): Promise<Postgres> {
  await mkdir(dataDir, { recursive: true })
  const folder = await realpath(dataDir)
  const data = join(folder, 'postgres')
  const binaries = await loadBinaries()
  const user = (await findSystemUser(data)) ?? (await createPostgresUser())
  await assertReachable([binaries.postgres, data], user)
  const password = readOrCreatePassword(folder)
  const cluster = { data, binaries, run: runnerFor(user), password, settings }
  if (!existsSync(data)) {
    onProgress(`creating the database in ${data}: a few seconds`)
    await initialise(cluster, user)
  }

  const { port, claim } = await startAndClaim(cluster, onProgress)
  return {
    url: urlOf(password, port, 'concord'),
    psql: `PGPASSFILE=${shellWord(join(folder, 'pgpass'))} psql -h 127.0.0.1 -p ${port} -U concord concord`,
    async stop() {
      // The lock is released last, because no other service may use a PostgreSQL that is about to stop.
      claim.release()
      await stopPostmaster(cluster).finally(claim.end)
    }
  }
}

/** Returns the URL of the PostgreSQL that a service runs in `dataDir`, or undefined. */
export async function findRunningUrl(dataDir: string): Promise<string | undefined> {
  const folder = await realpath(dataDir).catch(() => undefined)
  if (folder === undefined) return
  const port = await findPostmasterPort(join(folder, 'postgres'))
  return port === undefined ? undefined : urlOf(readPassword(folder), port, 'concord')
}

async function stopPostmaster({ data, binaries, run }: Cluster) {
  if ((await findPostmasterPort(data)) === undefined) return
  const seconds = String(limits.stopSeconds)
  await run(binaries.pg_ctl, ['stop', '-D', data, '-m', 'fast', '-w', '-t', seconds])
}

// Retries while another process starts or stops PostgreSQL.
async function startAndClaim(
  cluster: Cluster,
  onProgress: (step: string) => void
): Promise<{ port: number; claim: Claim }> {
  const deadline = Date.now() + limits.waitMs
  for (;;) {
    try {
      const running = await findPostmasterPort(cluster.data)
      if (running === undefined) onProgress('starting PostgreSQL')
      const port = running ?? (await startPostmaster(cluster))
      return {
        port,
        claim: await claimCluster(urlOf(cluster.password, port, 'postgres'), cluster.data)
      }
    } catch (error) {
      if (!isTransient(error) || Date.now() > deadline) throw error
      await sleep(limits.retryMs)
    }
  }
}

async function startPostmaster({ data, binaries, run, settings }: Cluster): Promise<number> {
  await deleteStalePidFile(data)
  const port = await findFreePort()
  const parameters = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    log_checkpoints: 'off',
    // The DETAIL line of an error contains values, such as the emails of users.
    log_error_verbosity: 'terse',
    // A transaction that a user forgot in psql holds its locks for at most 5 minutes.
    idle_in_transaction_session_timeout: '5min',
    ...settings
  }
  const options = Object.entries(parameters).map(([name, value]) => `-c ${name}='${value}'`)
  const log = join(data, 'server.log')
  const start = await sizeOf(log)
  const deadline = Date.now() + limits.startMs
  try {
    await run(binaries.pg_ctl, [
      // Does not wait, because pg_ctl checks only every 100 ms.
      ...['start', '-D', data, '-W', '-l', log],
      ...['-p', binaries.postgres, '-o', options.join(' ')]
    ])
  } catch (failure) {
    throw notStarted((failure as { stderr: string }).stderr.trim())
  }
  while (!(await isReady(data, port))) {
    const reason = await readLastFatal(log, start)
    if (reason !== undefined) throw notStarted(reason)
    if (Date.now() > deadline) throw notStarted(`it was not ready after ${limits.startMs / 1000} s`)
    await sleep(limits.checkMs)
  }
  return port

  function notStarted(reason: string) {
    const error = new Error(`PostgreSQL in ${data} did not start: ${reason}`)
    return Object.assign(error, { code: 'NOT_STARTED' })
  }
}

// The password of existing data cannot be created again.
function readOrCreatePassword(folder: string): string {
  if (existsSync(join(folder, 'postgres'))) return readPassword(folder)
  const create = () => `127.0.0.1:*:*:concord:${randomBytes(24).toString('base64url')}\n`
  return passwordOf(readOrCreateFile(join(folder, 'pgpass'), create))
}

function readPassword(folder: string): string {
  const file = join(folder, 'pgpass')
  if (existsSync(file)) return passwordOf(readFileSync(file, 'utf8'))
  const data = join(folder, 'postgres')
  throw new Error(`${file}, the password of ${data}, is missing: restore it, or delete both`)
}

function passwordOf(entry: string): string {
  return entry.trim().split(':').at(-1) ?? ''
}

function findFreePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const server = createServer().once('error', reject)
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number }
    server.close(() => resolve(port))
  })
  return promise
}

function urlOf(password: string, port: number, database: string): string {
  return `postgres://concord:${password}@127.0.0.1:${port}/${database}`
}

function shellWord(path: string): string {
  const near = relative('', path)
  const shown = near.startsWith('..') ? path : near
  return /^[\w./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`
}
