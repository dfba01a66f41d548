import t, { type Test } from 'tap'
import { startNode } from '../support/app.ts'
import { addMember, createChecklist, createProject } from '../support/projects.ts'
import { createRandom } from '../support/random.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'
import { follow, startClient, when } from './client-setup.ts'

// The service promises an order of events for each project. Today there is one order for all projects. A client must not
// rely on that, because the projects may be in several databases one day.

const seed = Number(process.env.SEED ?? 16)

/**
 * Returns a `fetch` whose event stream keeps events back until `release()`, and then sends them in an order that is
 * random between projects and unchanged within each. Its cursors have the form that two databases would need.
 */
function shufflingFetch() {
  const random = createRandom(seed)
  const blocks: string[] = []
  let output: TransformStreamDefaultController<string> | undefined
  let isHeld = false

  const fetch: typeof globalThis.fetch = async (input, init) => {
    const response = await globalThis.fetch(input, init)
    if (!String(input).includes('/events') || !response.body) return response
    let rest = ''
    const hold = new TransformStream<string, string>({
      start(controller) {
        output = controller
      },
      transform(chunk) {
        const parts = `${rest}${chunk}`.split('\n\n')
        rest = parts.pop() ?? ''
        blocks.push(...parts)
        if (!isHeld) send(blocks.splice(0))
      }
    })
    const body = response.body
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(hold)
      .pipeThrough(new TextEncoderStream())
    return new Response(body, response)
  }

  return {
    fetch,
    hold() {
      isHeld = true
    },
    /** events of projects that are kept back */
    get held() {
      return blocks.filter(block => projectOf(block) !== '')
    },
    /** Returns the events in the order in which they are sent. */
    release(): string[] {
      const queues = [...Map.groupBy(blocks.splice(0), projectOf).values()]
      const shuffled: string[] = []
      for (let left = queues; left.length > 0; left = left.filter(({ length }) => length > 0)) {
        shuffled.push(random.pick(left).shift() as string)
      }
      isHeld = false
      send(shuffled)
      return shuffled.filter(block => projectOf(block) !== '')
    }
  }

  function send(some: string[]) {
    for (const block of some) output?.enqueue(`${block.replace(/^(id: .*)$/m, '$1~0.0')}\n\n`)
  }
}

function projectOf(block: string): string {
  return /"projectId":"([^"]+)"/.exec(block)?.[1] ?? ''
}

/** Runs each kind of change in two projects, by turns. */
async function changeBoth(t: Test, { app, ids }: { app: App; ids: string[] }, ann: User) {
  const bob = await createUser(app, 'Bob')
  for (const [n, id] of ids.entries()) await addMember(ann, id, bob, n === 0 ? 'viewer' : 'editor')
  const lists: string[] = []
  for (const id of ids) lists.push(await createChecklist(ann, id, 'First'))
  for (let n = 0; n < 4; n++) {
    for (const [at, id] of ids.entries()) {
      await ann.request('PATCH', `/projects/${id}`, { name: `Name ${n}` })
      const ops = [
        {
          ...{ opId: crypto.randomUUID(), kind: 'list.rename' },
          ...{ from: n === 0 ? 'First' : `Title ${n - 1}`, to: `Title ${n}` }
        }
      ]
      const reply = await ann.request('POST', `/checklists/${lists[at]}/ops`, { ops })
      t.equal(reply.json().results[0].outcome, 'applied')
    }
  }
  for (const id of ids)
    await ann.request('PATCH', `/projects/${id}/members/${bob.id}`, { role: 'owner' })
  await app.sql`delete from checklists where id = ${lists[0] as string}`
  await createChecklist(ann, ids[1] as string, 'Second')
}

type App = Awaited<ReturnType<typeof startNode>>['app']
type User = Awaited<ReturnType<typeof createUser>>

t.test('a client is right when events of two projects arrive shuffled', async t => {
  t.comment(`SEED=${seed}`)
  const { app, url } = await startNode(t)
  const ann = await createUser(app)
  const ids = [await createProject(ann, 'One'), await createProject(ann, 'Two')]
  const stream = shufflingFetch()
  const client = await startClient(t, url, ann, { fetch: stream.fetch, tabs: false })
  const values = [
    client.projects,
    ...ids.flatMap(id => [client.project(id).members, client.project(id).checklists])
  ]
  for (const value of values) follow<unknown>(t, value)
  await Promise.all(values.map(value => value.ready()))
  await when(client.connection, ({ state }) => state === 'live')

  stream.hold()
  await changeBoth(t, { app, ids }, ann)
  // Two for each project are older: its creation and the membership of its creator.
  const [{ count }] = await app.sql<[{ count: number }]>`
    select count(*) - 2 * ${ids.length}::int as count
    from events
    where project_id = any (${ids}::uuid[])`
  await until(() => stream.held.length === count)
  const inOrder = stream.held
  const shuffled = stream.release()
  t.notSame(shuffled.map(projectOf), inOrder.map(projectOf))
  for (const id of ids) {
    const ofProject = (block: string) => projectOf(block) === id
    t.same(shuffled.filter(ofProject), inOrder.filter(ofProject))
  }

  const fresh = await startClient(t, url, ann, { tabs: false })
  const loaded = [
    fresh.projects,
    ...ids.flatMap(id => [fresh.project(id).members, fresh.project(id).checklists])
  ]
  for (const [n, value] of loaded.entries()) {
    const expected = await value.ready()
    await until(() => JSON.stringify(values[n]?.get()) === JSON.stringify(expected))
    t.same(values[n]?.get(), expected)
  }
})
