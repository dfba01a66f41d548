import fc from 'fast-check'
import t from 'tap'
import { startNode } from '../support/app.ts'
import { openSql } from '../support/database.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { createUser } from '../support/users.ts'
import { type Command, weights } from './simulation/commands.ts'
import { createWorld } from './simulation/world.ts'

// SIMULATION_SEED repeats one run; `npm run soak -- --clients` sets the number of runs.
const runs = Number(process.env.SIMULATION_RUNS ?? 300)
const seed = Number(process.env.SIMULATION_SEED ?? 0) || undefined
const lanes = 4

const kinds = fc.oneof(
  ...Object.entries(weights).map(([kind, weight]) => ({
    weight,
    arbitrary: fc.constant(kind as Command['kind'])
  }))
)
const command = fc.record({
  kind: kinds,
  numbers: fc.tuple(fc.nat(999), fc.nat(999), fc.nat(999), fc.nat(999))
})
const commands = fc.array(command, { minLength: 60, maxLength: 80, size: 'max' })

t.test('clients converge and lose nothing, whatever fails', async t => {
  const { app, url } = await startNode(t)
  const sql = openSql(t, app.config.databaseUrl ?? '', 8)
  await Promise.all(Array.from({ length: lanes }, (_, lane) => runLane(lane)))

  async function runLane(lane: number) {
    const devices = await Promise.all(
      ['Ann', 'Bob', 'Cleo', 'Dan'].slice(0, 2 + (lane % 3)).map(async name => ({
        user: await createUser(app, name),
        proxy: await tcpProxy(t, url)
      }))
    )
    const property = fc.asyncProperty(commands, async steps => {
      const world = await createWorld({ sql, devices })
      try {
        for (const step of steps) await world.run(step)
        await world.finish()
      } finally {
        await world.close()
      }
    })
    await fc.assert(property, { numRuns: Math.ceil(runs / lanes), seed, endOnFailure: true })
    t.pass(`${Math.ceil(runs / lanes)} runs with ${devices.length} devices`)
  }
})
