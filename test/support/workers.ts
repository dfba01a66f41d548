import { once } from 'node:events'
import { get, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { text } from 'node:stream/consumers'
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
    async isReady() {
      return (await getOnce(`${address}/health/ready`)).status === 200
    }
  }
}

/** Sends a GET request on a new connection, which any worker may get. `fetch` would use an open one again. */
export async function getOnce(url: string, headers: OutgoingHttpHeaders = {}) {
  const sent = get(url, { agent: false, headers })
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return { status: response.statusCode, text: await text(response) }
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
