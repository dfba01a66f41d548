import { createWorld } from '../client/simulation/world.ts'
import { startNode } from '../support/app.ts'
import { openSql } from '../support/database.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { createUser } from '../support/users.ts'
import { createPostgres } from './postgres.ts'

const postgres = await createPostgres()
const ends: any[] = []
const t: any = { teardown: (r: any) => ends.unshift(r) }
const { app, url } = await startNode(t, { DATABASE_URL: postgres.url })
const sql = openSql(t, postgres.url, 4)
const devices = []
for (const name of ['Ann', 'Bob'])
  devices.push({ user: await createUser(app, name), proxy: await tcpProxy(t, url) })
const world = await createWorld({ sql, devices })
const c = (kind: any, a = 0, b = 0, c = 0, d = 0) => world.run({ kind, numbers: [a, b, c, d] })
try {
  const steps: any[] = JSON.parse(process.argv[2] as string)
  for (const [kind, ...n] of steps) await c(kind, ...n)
  await world.finish()
  console.log('ok')
} catch (e) {
  console.log((e as Error).message.slice(0, 3000))
}
console.log(world.trace.join('\n').slice(-8000))
process.exit()
