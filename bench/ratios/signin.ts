import postgres from 'postgres'
import { registerUser } from '../support/client.ts'
import { compare, measure } from '../support/compare.ts'
import { loadHttp } from '../support/http-load.ts'
import { withPeer } from '../support/peers.ts'
import type { StartedProcess } from '../support/process.ts'
import { startService } from '../support/service.ts'

/* Compares POST /auth/signin with the verification of the same password hash by argon2 alone. */
const users = 50

await compare<number>({
  title: 'POST /auth/signin',
  seconds: 5,
  loads: { '2 in flight': 2, '8 in flight': 8 },
  async start(env) {
    const service = await startService(env)
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
    const createVariant = (name: string, { url, pid }: StartedProcess) => ({
      name,
      round: (connections: number, seconds: number) =>
        measure('sign-in', pid, () => loadHttp({ url, connections, seconds, requests }))
    })
    return [
      createVariant('service', service),
      ...(await withPeer('argon2.ts', {}, ({ pid, request }) => ({
        name: 'argon2 alone',
        round: (inFlight: number, seconds: number) =>
          measure('sign-in', pid, async () => ({
            count: Number(await request([seconds, inFlight, password, hash].join('\t')))
          }))
      }))),
      ...(await withPeer('accounts.py', env, peer => createVariant('FastAPI', peer)))
    ]
  }
})
