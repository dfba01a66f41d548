import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

/** A process that this bench has started. */
export type StartedProcess = Awaited<ReturnType<typeof startProcess>>

const limits = { logLines: 1000, startMs: 60_000, stopMs: 15_000 }

/** The process ids of the running servers, whose CPU time does not belong to the load generators. */
export const servers = new Set<number>()

/**
 * Starts a server and waits for a line with its address: `Concord http://…` or `Peer http://…`. `env` replaces the
 * environment of this process.
 */
export async function startProcess(command: string[], env: NodeJS.ProcessEnv, cwd = '/tmp') {
  const [program = '', ...args] = command
  const child = spawn(program, args, {
    cwd,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
    // Without `detached`, Ctrl-C would signal the server too. The SIGTERM of stop() would be its second signal, on
    // which the service exits before PostgreSQL has stopped.
    detached: true
  })
  const closed = once(child, 'close')
  const pid = child.pid as number
  servers.add(pid)
  child.stdin.on('error', () => {})

  const started = Promise.withResolvers<string>()
  const log: string[] = []
  // Reads all output, because a full pipe would block the server.
  const lines = createInterface({ input: child.stdout }).on('line', line => {
    const [, address] = /^(?:Concord|Peer) +(\S+)/.exec(line) ?? []
    if (address) started.resolve(address)
    if (line.startsWith('{')) log.push(line)
    if (log.length > limits.logLines) log.shift()
  })
  const timeout = new AbortController()
  const url = await Promise.race([
    started.promise,
    closed.then(() => ''),
    delay(limits.startMs, '', timeout)
  ])
  timeout.abort()
  if (url === '') {
    await stop()
    throw new Error(`${command.join(' ')} did not start`)
  }
  return { url, pid, log, request, stop }

  /** Sends a line to the server and returns the next line that it prints. */
  async function request(line: string): Promise<string> {
    const [response] = await Promise.all([once(lines, 'line'), child.stdin.write(`${line}\n`)])
    return response[0]
  }

  async function stop() {
    const timer = setTimeout(() => child.kill('SIGKILL'), limits.stopMs)
    child.kill('SIGTERM')
    await closed
    clearTimeout(timer)
    servers.delete(pid)
  }
}
