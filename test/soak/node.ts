import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const requirements = join(import.meta.dirname, '../../lib/requirements.js')
const server = join(import.meta.dirname, '../../server.ts')
const clock = join(import.meta.dirname, 'clock.ts')

const limits = { startMs: 60_000, pollMs: 100 }

export type ServiceNode = ReturnType<typeof createNode>

/** Returns a node: a process of the service that keeps its port over restarts, with its workers. */
export function createNode(databaseUrl: string, port: number, env: NodeJS.ProcessEnv = {}) {
  const address = `http://127.0.0.1:${port}`
  const output: string[] = []
  let child: ChildProcess | undefined
  let exited: Promise<unknown[]> | undefined
  process.on('exit', () => child?.kill('SIGKILL'))

  return {
    address,
    /** its log: warnings and errors only */
    output,

    get pid() {
      return child?.pid
    },

    async start() {
      const args = ['--import', requirements, '--import', clock, server]
      child = spawn(process.execPath, args, {
        env: {
          PATH: process.env.PATH,
          DATABASE_URL: databaseUrl,
          JWT_SECRET: 'a-secret-of-the-soak-that-is-long-enough',
          // Tokens must stay valid when a fault sets the clock a day ahead.
          ACCESS_TOKEN_TTL: '2000000',
          RETENTION_DAYS: '30',
          RATE_LIMIT: 'off',
          // A start is faster without building the page.
          WEB: 'off',
          LOG_LEVEL: 'warn',
          PORT: String(port),
          ...env
        },
        stdio: ['ignore', 'pipe', 'pipe']
      })
      for (const stream of [child.stdout, child.stderr]) {
        stream?.on('data', chunk => output.push(String(chunk)))
      }
      exited = once(child, 'exit')
      await waitUntilReady()
    },

    /**
     * Sends a signal and waits for the exit. Returns the exit code (null after SIGKILL) and the milliseconds until the
     * exit.
     */
    async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<{ code: number | null; ms: number }> {
      const begin = performance.now()
      child?.kill(signal)
      const [code] = (await exited) ?? []
      return { code: code as number | null, ms: performance.now() - begin }
    }
  }

  async function waitUntilReady() {
    const deadline = Date.now() + limits.startMs
    while (Date.now() < deadline) {
      const reply = await fetch(`${address}/health/ready`).catch(() => null)
      if (reply?.ok) return
      if (child?.exitCode !== null) throw new Error(`a node did not start: ${output.join('')}`)
      await sleep(limits.pollMs)
    }
    throw new Error(`a node is not ready in time: ${output.join('')}`)
  }
}
