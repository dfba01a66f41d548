import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

const program = [
  '/usr/sbin/nats-server',
  '/usr/bin/nats-server',
  '/usr/local/bin/nats-server'
].find(existsSync)

/** The reason why the tests with NATS cannot run; false when they can. */
export const isNatsMissing = program
  ? false
  : "nats-server is not installed: Debian's package is `nats-server`"

export type NatsServer = Awaited<ReturnType<typeof startNats>>

/** Starts a NATS server on a free port, which it keeps over restarts. `args` are further arguments. */
export async function startNats(args: string[] = []) {
  const port = await freePort()
  let child: ChildProcess
  await start()
  return {
    address: `127.0.0.1:${port}`,
    url: `nats://127.0.0.1:${port}`,
    kill,
    start,
    signal: (signal: NodeJS.Signals) => child.kill(signal)
  }

  async function start() {
    const all = ['-a', '127.0.0.1', '-p', `${port}`, ...args]
    child = spawn(program as string, all, { stdio: 'ignore' })
    process.once('exit', () => child.kill('SIGKILL'))
    await until(isListening)
  }

  async function kill() {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  async function isListening(): Promise<boolean> {
    const socket = connect(port, '127.0.0.1')
    const opened = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false)
    ]).catch(() => false)
    socket.destroy()
    return opened
  }
}
