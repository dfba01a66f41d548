import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { createServer } from '../../../app.ts'
import { readConfig } from '../../../lib/config.ts'
import configuration from '../../../plugins/config.ts'
import errors from '../../../plugins/http/errors.ts'
import headers from '../../../plugins/http/headers.ts'
import json from '../../../plugins/http/json.ts'
import notFound from '../../../plugins/http/not-found.ts'
import origins from '../../../plugins/http/origins.ts'
import drain from '../../../plugins/http/shutdown.ts'
import upgrade from '../../../plugins/http/upgrade.ts'
import { wellFormed } from '../../../schemas/scalars.ts'

const Note = Type.Object(
  {
    text: Type.String({ ...wellFormed, minLength: 1, maxLength: 100 }),
    done: Type.Optional(Type.Boolean()),
    tags: Type.Optional(Type.Array(Type.String(wellFormed), { maxItems: 3 })),
    id: Type.Optional(Type.String({ format: 'uuid' })),
    due: Type.Optional(Type.String({ format: 'date' })),
    kind: Type.Optional(Type.Unsafe<string>({ type: 'string', enum: ['a', 'b'] }))
  },
  { additionalProperties: false }
)

/** Builds the HTTP plugins without a database, with routes for these tests. */
export async function buildHttp(t: Test, env: NodeJS.ProcessEnv = {}): Promise<FastifyInstance> {
  const config = readConfig({
    DATABASE_URL: 'postgres://nowhere',
    JWT_SECRET: 'x'.repeat(32),
    LOG_LEVEL: 'silent',
    ...env
  })
  const app = createServer(config)
  t.teardown(() => app.close())
  await app.register(configuration, { config })
  for (const plugin of [errors, drain, headers, json, notFound, origins, upgrade]) {
    await app.register(plugin)
  }
  app.post('/notes', { schema: { body: Note } }, async request => request.body)
  app.patch('/anything', async request => request.body ?? null)
  app.post('/auth/refresh', async request => ({ body: request.body ?? null }))
  app.route({
    method: ['GET', 'DELETE'],
    url: '/empty',
    handler: async request => ({ body: request.body ?? null })
  })
  app.get(
    '/notes/:id',
    {
      schema: {
        params: Type.Object({ id: Type.String({ format: 'uuid' }) }),
        querystring: Type.Object({
          limit: Type.Integer({ minimum: 1, maximum: 100, default: 10 }),
          project: Type.Optional(Type.Array(Type.String()))
        })
      }
    },
    async request => request.query
  )
  app.get('/broken', async () => {
    throw new Error('password of the database is hunter2')
  })
  app.get('/odd', async () => {
    throw Object.assign(new Error('odd'), { statusCode: 200 })
  })
  await app.ready()
  return app
}

export function postNote(
  app: FastifyInstance,
  payload: string | Buffer,
  type = 'application/json'
) {
  return app.inject({ method: 'POST', url: '/notes', payload, headers: { 'content-type': type } })
}
