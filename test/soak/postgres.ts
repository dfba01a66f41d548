import { execFile } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { loadBinaries, runnerFor } from '../../lib/embedded-postgres/binaries.ts'
import { initialise } from '../../lib/embedded-postgres/initialise.ts'
import { createPostgresUser, findSystemUser } from '../../lib/embedded-postgres/system-user.ts'
import { freePort } from '../support/free-port.ts'
import { signalProcess } from './process.ts'

const execute = promisify(execFile)

export type SoakPostgres = Awaited<ReturnType<typeof createPostgres>>

/** Starts a PostgreSQL server that can be killed, frozen and started again on the same port. */
export async function createPostgres() {
  const folder = await mkdtemp(join(tmpdir(), 'concord-soak-'))
  await chmod(folder, 0o755)
  const data = join(folder, 'postgres')
  const pidFile = join(data, 'postmaster.pid')
  let isRemoved = false
  const binaries = await loadBinaries()
  const account = (await findSystemUser(data)) ?? (await createPostgresUser())
  const run = runnerFor(account)
  const password = 'soak'
  await initialise({ data, binaries, run, password, settings: { fsync: 'off' } }, account)
  const port = await freePort()
  const parameters = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 200,
    // The harness kills processes, not machines, so nothing that was written is lost.
    fsync: 'off',
    full_page_writes: 'off'
  }
  await start()
  // Stops the server and deletes its files also when this process is interrupted.
  process.on('exit', () => {
    if (isRemoved) return
    signalProcess(Number.parseInt(readFileSync(pidFile, 'utf8'), 10), 'SIGQUIT')
    rmSync(folder, { recursive: true, force: true })
  })

  return {
    url: `postgres://concord:${password}@127.0.0.1:${port}/postgres`,
    start,

    /** Kills every process with SIGKILL, as the kernel does when memory runs out. */
    async kill() {
      const pid = await postmaster()
      const children = await childrenOf(pid)
      signalProcess(pid, 'SIGKILL')
      for (const child of children) signalProcess(child, 'SIGKILL')
    },

    /** Stops every process with SIGSTOP; connections stay open. Returns a function that continues the processes. */
    async freeze() {
      const pid = await postmaster()
      const pids = [pid, ...(await childrenOf(pid))]
      for (const pid of pids) signalProcess(pid, 'SIGSTOP')
      return () => {
        for (const pid of pids) signalProcess(pid, 'SIGCONT')
      }
    },

    async remove() {
      isRemoved = true
      await run(binaries.pg_ctl, ['stop', '-D', data, '-m', 'immediate', '-w']).catch(() => {})
      await rm(folder, { recursive: true, force: true })
    }
  }

  async function start() {
    const options = Object.entries(parameters).map(([name, value]) => `-c ${name}='${value}'`)
    const args = [
      ...['start', '-D', data, '-w', '-t', '60', '-l', join(data, 'server.log')],
      ...['-p', binaries.postgres, '-o', options.join(' ')]
    ]
    for (let n = 1; ; n++) {
      try {
        await run(binaries.pg_ctl, args)
        return
      } catch (error) {
        // Killed processes take a moment to exit.
        if (n === 20) throw error
        await sleep(500)
      }
    }
  }

  async function postmaster(): Promise<number> {
    return Number.parseInt(await readFile(pidFile, 'utf8'), 10)
  }
}

async function childrenOf(parent: number): Promise<number[]> {
  const { stdout } = await execute('ps', ['-A', '-o', 'pid=,ppid='])
  return stdout
    .split('\n')
    .map(line => line.trim().split(/\s+/).map(Number))
    .filter(([, ppid]) => ppid === parent)
    .map(([pid]) => pid as number)
}
