import { type Headers, registerUser } from '../support/client.ts'
import { compare, measure } from '../support/compare.ts'
import { loadHttp } from '../support/http-load.ts'
import { startPeer } from '../support/peers.ts'
import { startService } from '../support/service.ts'
import { signToken } from '../support/token.ts'

/* Compares GET /users/me with fastify, @fastify/jwt and one select. */
const connections = 64

await compare('me', {
  title: `GET /users/me, ${connections} connections`,
  seconds: 4,
  async start(env) {
    const service = await startService(env)
    const { id, headers } = await registerUser(service.url)
    const peer = await startPeer('accounts.ts', env)
    const token = { authorization: `Bearer ${signToken(id, env.JWT_SECRET)}` }
    const load = ({ url, pid }: typeof peer, headers: Headers, seconds: number) =>
      measure('request', pid, () =>
        loadHttp({ url: `${url}/users/me`, connections, seconds, headers })
      )
    return [
      { name: 'service', round: seconds => load(service, headers, seconds) },
      { name: 'fastify, jwt, select', round: seconds => load(peer, token, seconds) }
    ]
  }
})
