import { type Headers, registerUser } from '../support/client.ts'
import { compare, measure } from '../support/compare.ts'
import { loadHttp } from '../support/http-load.ts'
import { withPeer } from '../support/peers.ts'
import type { StartedProcess } from '../support/process.ts'
import { startService } from '../support/service.ts'
import { signToken } from '../support/token.ts'

/* Compares GET /users/me with one select behind fastify and @fastify/jwt, and behind FastAPI. */

await compare({
  title: 'GET /users/me',
  seconds: 4,
  loads: { '64 connections': 64 },
  async start(env) {
    const service = await startService(env)
    const { id, headers } = await registerUser(service.url)
    const token = { authorization: `Bearer ${signToken(id, env.JWT_SECRET)}` }
    const createVariant =
      (name: string, headers: Headers) =>
      ({ url, pid }: StartedProcess) => ({
        name,
        round: (connections: number, seconds: number) =>
          measure('request', pid, () =>
            loadHttp({ url: `${url}/users/me`, connections, seconds, headers })
          )
      })
    return [
      createVariant('service', headers)(service),
      ...(await withPeer('accounts.ts', env, createVariant('fastify, jwt, select', token))),
      ...(await withPeer('accounts.py', env, createVariant('FastAPI', token)))
    ]
  }
})
