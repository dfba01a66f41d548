import { type Headers, registerUser } from '../support/client.ts'
import { compare, measure } from '../support/compare.ts'
import { loadHttp } from '../support/http-load.ts'
import { startPeer } from '../support/peers.ts'
import { startService } from '../support/service.ts'
import { signToken } from '../support/token.ts'

/* Compares GET /users/me with fastify, @fastify/jwt and one select. */

await compare({
  title: 'GET /users/me',
  seconds: 4,
  loads: { '64 connections': 64 },
  async start(env) {
    const service = await startService(env)
    const { id, headers } = await registerUser(service.url)
    const peer = await startPeer('accounts.ts', env)
    const token = { authorization: `Bearer ${signToken(id, env.JWT_SECRET)}` }
    const request = (
      { url, pid }: typeof peer,
      connections: number,
      seconds: number,
      headers: Headers
    ) =>
      measure('request', pid, () =>
        loadHttp({ url: `${url}/users/me`, connections, seconds, headers })
      )
    return [
      { name: 'service', round: (load, seconds) => request(service, load, seconds, headers) },
      {
        name: 'fastify, jwt, select',
        round: (load, seconds) => request(peer, load, seconds, token)
      }
    ]
  }
})
