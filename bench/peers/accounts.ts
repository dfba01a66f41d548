import { createHash, randomBytes, randomUUID } from 'node:crypto'
import jwt from '@fastify/jwt'
import fastify, { type FastifyReply } from 'fastify'
import postgres from 'postgres'

/*
 * Accounts in the usual way: fastify, @fastify/jwt, and one query for each request.
 *
 * GET /users/me verifies the token and selects the user. POST /auth/refresh replaces the token of a session by one
 * update.
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

await sql`
  create table if not exists peer_sessions (
    token_hash bytea primary key,
    user_id uuid not null,
    expires_at timestamptz not null
  )`

/** Opens a session without a password, because only the refresh is measured. */
app.post('/auth/signin', async (request, reply) => {
  const { email } = request.body as { email: string }
  const token = createToken()
  const [user] = await sql`select id from users where email = ${email}`
  if (!user) return reply.code(401).send()
  await sql`insert into peer_sessions values (${hash(token)}, ${user.id}, now() + interval '7 days')`
  setCookie(reply, token)
  return { accessToken: sign(user.id) }
})

app.post('/auth/refresh', async (request, reply) => {
  const [, old = ''] = /refresh=([^;]+)/.exec(request.headers.cookie ?? '') ?? []
  const token = createToken()
  const [session] = await sql`
    update peer_sessions
    set token_hash = ${hash(token)}, expires_at = now() + interval '7 days'
    where token_hash = ${hash(old)} and expires_at > now()
    returning user_id`
  if (!session) return reply.code(403).send({ message: 'no such session' })
  setCookie(reply, token)
  return { accessToken: sign(session.user_id) }
})

function sign(sub: string): string {
  const claims = { iss: 'concord' as const, aud: 'concord' as const, sub, sid: randomUUID() }
  const exp = Math.floor(Date.now() / 1000) + 900
  return app.jwt.sign({ ...claims, jti: randomUUID(), exp })
}

function setCookie(reply: FastifyReply, token: string) {
  const attributes = 'Max-Age=604800; Path=/; HttpOnly; Secure; SameSite=Strict'
  reply.header('set-cookie', `refresh=${token}; ${attributes}`)
}

function createToken(): string {
  return randomBytes(32).toString('base64url')
}

function hash(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

process.stdin.resume().on('close', () => process.exit())
const address = await app.listen({ host: '127.0.0.1', port: 0 })
process.stdout.write(`Peer ${address}\n`)
