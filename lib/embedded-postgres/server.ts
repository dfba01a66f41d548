import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, realpath } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { kept } from '../../plugins/config.ts'
import { accountFor } from './account.ts'
import { type Cluster, lastFatal, loadBinaries, runnerFor, sizeOf } from './binaries.ts'
import { type Claim, claim, isTransient } from './claim.ts'
import { initialise } from './initialise.ts'
import { postmasterOf } from './postmaster.ts'

const limits = { startSeconds: 120, stopSeconds: 60, patienceMs: 10_000, retryMs: 200 }

/** A running PostgreSQL that is ours alone until `stop()`. */
export interface Postgres {
  /** Of the database `concord`, with the password. */
  url: string
  psql: string
  stop(): Promise<void>
}

/**
 * Runs PostgreSQL in `dataDir`, adopting one that an earlier, killed service left running there.
 * `settings` are parameters of postgresql.conf. Throws one clear sentence when the folder cannot be
 * reached, another service holds it, or PostgreSQL does not start.
 */
export async function startPostgres(
  dataDir: string,
  settings: Record<string, string> = {}
): Promise<Postgres> {
  await mkdir(dataDir, { recursive: true })
  const folder = await realpath(dataDir)
  const data = join(folder, 'postgres')
  const binaries = await loadBinaries()
  const account = await accountFor(data, [binaries.postgres, data])
  const password = keptPassword(join(folder, 'pgpass'), data)
  const cluster = { data, binaries, run: runnerFor(account), password, settings }
  if (!existsSync(data)) await initialise(cluster, account)

  const { port, held } = await hold(cluster)
  return {
    url: urlOf(cluster, port, 'concord'),
    psql: `PGPASSFILE=${shellWord(join(folder, 'pgpass'))} psql -h 127.0.0.1 -p ${port} -U concord concord`,
    async stop() {
      // The claim is given up last: nobody may adopt what is about to stop.
      held.release()
      await halt(cluster).finally(held.end)
    }
  }
}

/** Where the PostgreSQL that a service runs in `dataDir` answers, undefined when none does. */
export async function runningUrl(dataDir: string): Promise<string | undefined> {
  const folder = await realpath(dataDir)
  const data = join(folder, 'postgres')
  const port = await postmasterOf(data)
  if (port === undefined) return
  return urlOf({ password: keptPassword(join(folder, 'pgpass'), data) }, port, 'concord')
}

async function halt({ data, binaries, run }: Cluster) {
  if ((await postmasterOf(data)) === undefined) return
  const patience = String(limits.stopSeconds)
  await run(binaries.pg_ctl, ['stop', '-D', data, '-m', 'fast', '-w', '-t', patience])
}

/** Finds or starts the postmaster until one is claimed; another one may be stopping meanwhile. */
async function hold(cluster: Cluster): Promise<{ port: number; held: Claim }> {
  const deadline = Date.now() + limits.patienceMs
  for (;;) {
    try {
      const port = (await postmasterOf(cluster.data)) ?? (await launch(cluster))
      return { port, held: await claim(urlOf(cluster, port, 'postgres'), cluster.data) }
    } catch (error) {
      if (!isTransient(error) || Date.now() > deadline) throw error
      await sleep(limits.retryMs)
    }
  }
}

/** Starts PostgreSQL on a free loopback port, which it answers when connections are accepted. */
async function launch({ data, binaries, run, settings }: Cluster): Promise<number> {
  const port = await freePort()
  const parameters = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    log_checkpoints: 'off',
    // The detail of an error quotes values, people's emails among them.
    log_error_verbosity: 'terse',
    // A forgotten transaction in psql holds its rows no longer than this.
    idle_in_transaction_session_timeout: '5min',
    ...settings
  }
  const options = Object.entries(parameters).map(([name, value]) => `-c ${name}='${value}'`)
  const log = join(data, 'server.log')
  const start = await sizeOf(log)
  try {
    await run(binaries.pg_ctl, [
      ...['start', '-D', data, '-w', '-t', String(limits.startSeconds), '-l', log],
      ...['-p', binaries.postgres, '-o', options.join(' ')]
    ])
  } catch (failure) {
    const reason = (await lastFatal(log, start)) ?? (failure as { stderr: string }).stderr.trim()
    const error = new Error(`PostgreSQL in ${data} did not start: ${reason}`)
    throw Object.assign(error, { code: 'NOT_STARTED' })
  }
  return port
}

/** The password in a file of libpq's pgpass format, made at the first start. */
function keptPassword(file: string, data: string): string {
  if (existsSync(data) && !existsSync(file)) {
    throw new Error(`${file}, the password of ${data}, is gone: restore it, or remove both`)
  }
  const entry = kept(file, () => `127.0.0.1:*:*:concord:${randomBytes(24).toString('base64url')}\n`)
  return entry.trim().split(':').at(-1) ?? ''
}

function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const server = createServer().once('error', reject)
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number }
    server.close(() => resolve(port))
  })
  return promise
}

function urlOf({ password }: Pick<Cluster, 'password'>, port: number, database: string): string {
  return `postgres://concord:${password}@127.0.0.1:${port}/${database}`
}

function shellWord(path: string): string {
  const near = relative('', path)
  const shown = near.startsWith('..') ? path : near
  return /^[\w./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`
}
