import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { build as buildApp } from '../../app.ts'
import { createDatabase } from './database.ts'
import { httpClient } from './http-client.ts'

export const JWT_SECRET = 'a-secret-of-the-tests-and-long-enough'

/**
 * Returns a ready application on a database of its own. `env` overrides the environment below. `prepare` can add routes
 * for the test.
 */
export async function build(
  t: Pick<Test, 'teardown'>,
  env: NodeJS.ProcessEnv = {},
  prepare: (app: FastifyInstance) => void = () => {}
): Promise<FastifyInstance> {
  const app = buildApp({
    env: {
      DATABASE_URL: env.DATABASE_URL ?? (await createDatabase(t)),
      JWT_SECRET,
      LOG_LEVEL: 'silent',
      RATE_LIMIT: 'off',
      // To build the page takes half a second.
      WEB: 'off',
      ...env
    }
  })
  t.teardown(() => app.close())
  prepare(app)
  await app.ready()
  return app
}

/** Listens on a free port. Returns the address, such as `http://127.0.0.1:41234`. */
export function listen(app: FastifyInstance): Promise<string> {
  return app.listen({ host: '127.0.0.1', port: 0 })
}

/** Returns a listening application, its address and an HTTP client for it. */
export async function startNode(t: Pick<Test, 'teardown'>, env: NodeJS.ProcessEnv = {}) {
  const app = await build(t, env)
  const url = await listen(app)
  return { app, url, call: httpClient(t, url) }
}
