import type { Test } from 'tap'
import { build, JWT_SECRET } from './app.ts'
import { childrenOf } from './children.ts'
import { createDatabase } from './database.ts'
import { type ServiceProcess, spawnService, waitForStart } from './process.ts'
import { createChecklist, createProject } from './projects.ts'
import { until } from './until.ts'
import { createUser, signIn } from './users.ts'

/**
 * Starts a node with two workers on a new database, which has one user with two sessions and a checklist. `env` overrides
 * the environment of the node.
 */
export async function startWorkers(t: Test, env: NodeJS.ProcessEnv = {}) {
  const databaseUrl = await createDatabase(t)
  const own = { DATABASE_URL: databaseUrl, JWT_SECRET }
  const other = await build(t, own)
  const ann = await createUser(other)
  const listId = await createChecklist(ann, await createProject(ann))
  const session = await signIn(other, ann)
  await other.close()
  const service = spawnService(t, { ...own, RATE_LIMIT: 'off', WORKERS: '2', ...env })
  const { address } = await waitForStart(service)

  return {
    databaseUrl,
    service,
    address,
    ann,
    session,
    listId,
    workers: () => childrenOf(service.child.pid as number),
    isReady: () => isReady(address)
  }
}

/** Returns whether `GET /health/ready` returns 200, on a connection of its own. */
export async function isReady(address: string): Promise<boolean> {
  const { ok } = await fetch(`${address}/health/ready`, { headers: { connection: 'close' } })
  return ok
}

/** Waits until as many workers as given have logged a request, which needs LOG_LEVEL=info. Returns their process ids. */
export async function waitForServers({ output }: ServiceProcess, count: number): Promise<number[]> {
  const pids = () => {
    const lines = output.stdout.matchAll(/"pid":(\d+).*"msg":"incoming request"/g)
    return [...new Set([...lines].map(([, pid]) => Number(pid)))]
  }
  await until(() => pids().length === count)
  return pids()
}
