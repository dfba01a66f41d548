import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { verify } from '@node-rs/argon2'
import autocannon from 'autocannon'
import { build } from '../app.ts'
import { createFolder } from './support/folder.ts'
import { round } from './support/statistics.ts'

/*
 * Measures how many responses a second the service sends: GET /users/me, compared with a bare node:http server that
 * sends the same body, and POST /auth/signin, compared with argon2 alone.
 *
 * node bench/http.ts [seconds of each measurement = 4]
 */
const seconds = Number(process.argv[2] ?? 4)
const connections = 20
const users = 50
const password = 'correct horse battery staple'

const folder = await createFolder()
const app = build({ env: { DATA_DIR: folder, RATE_LIMIT: 'off', LOG_LEVEL: 'silent' } })

try {
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const { accounts, hash, headers } = await signUp()
  const me = await app.inject({ url: '/users/me', headers })

  console.log(`${connections} connections, ${seconds} s each, responses a second`)
  console.table({
    'GET /users/me': compare(
      await responsesPerSecond({ url: `${url}/users/me`, headers }),
      await bareResponsesPerSecond(me.body)
    ),
    'POST /auth/signin': compare(
      await responsesPerSecond({ url: `${url}/auth/signin`, requests: accounts.map(signIn) }),
      await verificationsPerSecond(hash)
    )
  })
} finally {
  await app.close()
  await rm(folder, { recursive: true })
}

/** Creates several accounts, because many sessions of one account would also measure the deletion of old sessions. */
async function signUp() {
  const first = { email: 'user0@example.com', password }
  await app.inject({ method: 'POST', url: '/auth/signup', payload: { ...first, name: 'Ann' } })
  const [{ hash }] = await app.sql<[{ hash: string }]>`
    insert into users (email, name, password_hash)
    select 'user' || n || '@example.com', name, password_hash
    from users, generate_series(1, ${users - 1}::int) as n
    returning password_hash as hash
  `
  const session = await app.inject({ method: 'POST', url: '/auth/signin', payload: first })
  const headers = { authorization: `Bearer ${session.json().accessToken}` }
  const accounts = Array.from({ length: users }, (_, n) => ({
    email: `user${n}@example.com`,
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

/** Sends requests from a worker thread, so that their cost does not slow the service. */
async function responsesPerSecond(options: autocannon.Options): Promise<number> {
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
    throw new Error(`${non2xx} responses other than 2xx and ${errors} errors from ${options.url}`)
  return good / duration
}

async function bareResponsesPerSecond(body: string): Promise<number> {
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
    return await responsesPerSecond({ url: `http://127.0.0.1:${port}` })
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

async function verificationsPerSecond(hash: string): Promise<number> {
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

function compare(service: number, bare: number) {
  return {
    service: Math.round(service),
    bare: Math.round(bare),
    'service / bare': round(service / bare, 2)
  }
}
