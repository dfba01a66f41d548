import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { verify } from '@node-rs/argon2'
import autocannon from 'autocannon'
import { build } from '../app.ts'

/*
 * How much of the bare cost of an answer is the service's own? Each route is paired, in the same run and
 * on the same machine, with the least that could answer: node:http with a body of the same size for
 * GET /users/me, and nothing but argon2 for POST /auth/signin.
 *
 * node bench/http.ts [seconds a measurement = 4]
 */
const seconds = Number(process.argv[2] ?? 4)
const connections = 20
const people = 50
const password = 'correct horse battery staple'

const folder = await mkdtemp(join(tmpdir(), 'concord-bench-'))
await chmod(folder, 0o755) // the user that PostgreSQL runs as has to get through
const app = build({ env: { DATA_DIR: folder, RATE_LIMIT: 'off', LOG_LEVEL: 'silent' } })

try {
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const { accounts, hash, headers } = await signUp()
  const me = await app.inject({ url: '/users/me', headers })

  console.log(`${connections} connections, ${seconds} s each, answers a second`)
  console.table({
    'GET /users/me': compared(
      await answers({ url: `${url}/users/me`, headers }),
      await bareAnswers(me.body)
    ),
    'POST /auth/signin': compared(
      await answers({ url: `${url}/auth/signin`, requests: accounts.map(signIn) }),
      await bareVerifications(hash)
    )
  })
} finally {
  await app.close()
  await rm(folder, { recursive: true })
}

/** Several accounts, since signing in to one again and again has sessions to evict. */
async function signUp() {
  const first = { email: 'person0@example.com', password }
  await app.inject({ method: 'POST', url: '/auth/signup', payload: { ...first, name: 'Ann' } })
  const [{ hash }] = await app.sql<[{ hash: string }]>`
    insert into users (email, name, password_hash)
    select 'person' || n || '@example.com', name, password_hash
    from users, generate_series(1, ${people - 1}::int) as n
    returning password_hash as hash
  `
  const session = await app.inject({ method: 'POST', url: '/auth/signin', payload: first })
  const headers = { authorization: `Bearer ${session.json().accessToken}` }
  const accounts = Array.from({ length: people }, (_, n) => ({
    email: `person${n}@example.com`,
    password
  }))
  return { accounts, hash, headers }
}

function signIn(account: object) {
  return {
    method: 'POST' as const,
    path: '/auth/signin',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(account)
  }
}

/** Load comes from a thread of its own, else its cost would count as the service's. */
async function answers(options: autocannon.Options): Promise<number> {
  const {
    '2xx': good,
    non2xx,
    errors,
    duration
  } = await autocannon({
    connections,
    duration: seconds,
    workers: 1,
    ...options
  })
  if (non2xx + errors > 0)
    throw new Error(`${non2xx} refusals and ${errors} errors at ${options.url}`)
  return good / duration
}

async function bareAnswers(body: string): Promise<number> {
  const server = createServer((_request, response) => {
    response.writeHead(200, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(body)
    })
    response.end(body)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  try {
    return await answers({ url: `http://127.0.0.1:${port}` })
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

async function bareVerifications(hash: string): Promise<number> {
  const end = performance.now() + seconds * 1000
  let count = 0
  const workers = Array.from({ length: connections }, async () => {
    while (performance.now() < end) {
      await verify(hash, password)
      count++
    }
  })
  const start = performance.now()
  await Promise.all(workers)
  return count / ((performance.now() - start) / 1000)
}

function compared(service: number, bare: number) {
  return {
    service: Math.round(service),
    bare: Math.round(bare),
    'service / bare': Number((service / bare).toFixed(2))
  }
}
