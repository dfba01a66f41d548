import { execFile } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { accountFor } from '../../lib/embedded-postgres/account.ts'
import { loadBinaries, runnerFor } from '../../lib/embedded-postgres/binaries.ts'
import { initialise } from '../../lib/embedded-postgres/initialise.ts'
import { freePort } from '../support/free-port.ts'
import { signal } from './process.ts'

const execute = promisify(execFile)

export type Database = Awaited<ReturnType<typeof createDatabase>>

/** A PostgreSQL of one's own that can be treated badly: killed, frozen and started again on the same port. */
export async function createDatabase() {
  const folder = await mkdtemp(join(tmpdir(), 'concord-soak-'))
  await chmod(folder, 0o755)
  const data = join(folder, 'postgres')
  const pidFile = join(data, 'postmaster.pid')
  let isRemoved = false
  const binaries = await loadBinaries()
  const account = await accountFor(data, [binaries.postgres, data])
  const run = runnerFor(account)
  const password = 'soak'
  await initialise({ data, binaries, run, password, settings: { fsync: 'off' } }, account)
  const port = await freePort()
  const parameters = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 200,
    // Processes are killed here, not machines.
    fsync: 'off',
    full_page_writes: 'off'
  }
  await start()
  // Whatever ends this process, nothing of it stays behind.
  process.on('exit', () => {
    if (isRemoved) return
    signal(Number.parseInt(readFileSync(pidFile, 'utf8'), 10), 'SIGQUIT')
    rmSync(folder, { recursive: true, force: true })
  })

  return {
    url: `postgres://concord:${password}@127.0.0.1:${port}/postgres`,
    start,

    /** As the machine does that runs out of memory. */
    async kill() {
      const pid = await postmaster()
      const children = await childrenOf(pid)
      signal(pid, 'SIGKILL')
      for (const child of children) signal(child, 'SIGKILL')
    },

    /** Every process stands still, every connection stays open. Answers the way to let it go on. */
    async freeze() {
      const pid = await postmaster()
      const all = [pid, ...(await childrenOf(pid))]
      for (const one of all) signal(one, 'SIGSTOP')
      return () => {
        for (const one of all) signal(one, 'SIGCONT')
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
        // What was killed is not gone at once.
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
    .filter(([, of]) => of === parent)
    .map(([pid]) => pid as number)
}
