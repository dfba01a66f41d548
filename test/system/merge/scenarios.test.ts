import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import type { Results } from '../../../schemas/operation.ts'
import { build, listen } from '../../support/app.ts'
import { type LiveClient, openLive } from '../../support/live-client.ts'
import {
  createUsers,
  play,
  type Scenario,
  type Send,
  scenarios,
  sortAnyOrder,
  type Users
} from './play.ts'

const overHttp =
  (app: FastifyInstance): Send =>
  async ({ headers }, checklistId, op) => {
    const url = `/checklists/${checklistId}/ops`
    const reply = await app.inject({ method: 'POST', url, headers, payload: { ops: [op] } })
    const [result] = reply.json<Results>().results ?? []
    if (!result) throw new Error(`${reply.statusCode} ${reply.body}`)
    return result
  }

t.test('every merge scenario has its expected outcome over HTTP', async t => {
  const app = await build(t)
  await playAll(t, app, await createUsers(app), overHttp(app))
})

t.test('every merge scenario has its expected outcome over a socket', async t => {
  const app = await build(t)
  const url = await listen(app)
  const users = await createUsers(app)
  const sockets = new Map<string, LiveClient>()
  for (const { id, headers } of Object.values(users))
    sockets.set(id, await openLive(t, url, headers))
  await playAll(t, app, users, async ({ id }, checklistId, op) => {
    const [result] = (await sockets.get(id)?.push(checklistId, op)) ?? []
    if (!result) throw new Error('no result')
    return result
  })
})

async function playAll(t: Test, app: FastifyInstance, users: Users, send: Send) {
  for (const scenario of scenarios) {
    await t.test(`${scenario.id} ${scenario.title}`, async t => {
      checkResult(t, scenario, await play(app, users, scenario, { send }))
    })
    if (!scenario.eitherOrder) continue
    await t.test(`${scenario.id} has the same items in reverse order of users`, async t => {
      const { items, title } = await play(app, users, scenario, { send, isReversed: true })
      t.strictSame({ items, title }, { items: scenario.expect.items, title: scenario.expect.title })
    })
  }
}

function checkResult(
  t: Test,
  { expect, anyOrderOf }: Scenario,
  actual: Awaited<ReturnType<typeof play>>
) {
  t.strictSame(actual.outcomes, expect.outcomes)
  t.strictSame(sortAnyOrder(actual.items, anyOrderOf), sortAnyOrder(expect.items, anyOrderOf))
  const { deleted, title, openConflicts, revisions = actual.revisions } = expect
  t.match(actual, { deleted, title, openConflicts, revisions })
}
