import postgres from 'postgres'
import { registerUser } from '../support/client.ts'
import { compare, measure } from '../support/compare.ts'
import { loadHttp } from '../support/http-load.ts'
import { startPeer } from '../support/peers.ts'
import { startService } from '../support/service.ts'

/* Compares POST /auth/signin with the verification of the same password hash by argon2 alone. */
const users = 50

await compare<number>({
  title: 'POST /auth/signin',
  seconds: 5,
  loads: { '2 in flight': 2, '8 in flight': 8 },
  async start(env) {
    const service = await startService(env)
    const peer = await startPeer('argon2.ts', {})
    const { email, password } = await registerUser(service.url)
    const sql = postgres(env.DATABASE_URL)
    // Several accounts, because many sessions of one account would also measure the deletion of old sessions.
    const [{ hash }] = await sql<[{ hash: string }]>`
      insert into users (email, name, password_hash)
      select 'user' || n || '@example.com', name, password_hash
      from users, generate_series(1, ${users}::int) as n
      where email = ${email}
      returning password_hash as hash`
    await sql.end()
    const requests = Array.from({ length: users }, (_, n) => ({
      method: 'POST' as const,
      path: '/auth/signin',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: `user${n + 1}@example.com`, password })
    }))
    return [
      {
        name: 'service',
        round: (connections, seconds) =>
          measure('sign-in', service.pid, () =>
            loadHttp({ url: service.url, connections, seconds, requests })
          )
      },
      {
        name: 'argon2 alone',
        round: (inFlight, seconds) =>
          measure('sign-in', peer.pid, async () => ({
            count: Number(await peer.request([seconds, inFlight, password, hash].join('\t')))
          }))
      }
    ]
  }
})
