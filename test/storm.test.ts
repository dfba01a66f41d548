import t from 'tap'
import { crowd, type Reader } from './crowd.ts'
import { build, listen, person, until } from './helper.ts'
import { caller } from './team.ts'

const count = { streams: 2000, events: 40 }

t.test(
  '2,000 clients that come back at once get what they missed, and nobody else waits for them',
  async t => {
    const app = await build(t)
    const url = await listen(t, app)
    const [ann, bob] = [await person(app, 'Ann'), await person(app, 'Bob')]
    const ask = caller(app, ann)
    const { id: projectId } = (await ask('POST', '/projects', { name: 'Fair' })).json()
    const made = await ask('POST', `/projects/${projectId}/checklists`, { title: 'To buy' })
    const { id: listId } = made.json()
    const write = (n: number) =>
      app.sql`insert into checklist_items (checklist_id, text) values (${listId}, ${`item ${n}`})`
    const before = await crowd(t, url, ann.headers, Array(count.streams).fill(undefined))
    for (const { socket } of before) socket.resetAndDestroy()
    for (let n = 0; n < count.events; n++) await write(n)
    const [missed] = await app.sql`select max(pos)::int as pos from events`

    /** Everybody comes back to a node, while somebody writes and somebody asks. */
    async function storm(name: string, node: typeof app, address: string) {
      const state = { isOver: false, answered: 0 }
      const asking = (async () => {
        while (!state.isOver) {
          const reply = await fetch(`${address}/users/me`, { headers: bob.headers })
          t.equal(reply.status, 200)
          await reply.text()
          state.answered++
        }
      })()
      const readers = await crowd(
        t,
        address,
        ann.headers,
        before.map(({ cursor }) => cursor)
      )
      await write(count.events)
      const [end] = await app.sql`select max(pos)::int as pos from events`
      await node.pubsub.reached(end?.pos)
      const total = end?.pos - missed?.pos + count.events
      await until(() => readers.every(({ ids }) => ids.length >= total), 30_000)
      state.isOver = true
      await asking
      t.comment(`${name}: ${state.answered} requests answered meanwhile`)
      t.ok(state.answered > 1, 'others were served')
      const [first] = readers as [Reader]
      t.equal(new Set(first.ids).size, total)
      t.ok(
        readers.every(({ ids }) => ids.join() === first.ids.join()),
        'all of it, once, in order'
      )
      for (const { socket } of readers) socket.resetAndDestroy()
    }

    const fromLog = async (node: typeof app) => {
      const { payload } = await node.inject('/metrics')
      return Number(/concord_catch_ups_total{from="log"} (\d+)/.exec(payload)?.[1] ?? 0)
    }
    await storm('from memory', app, url)
    t.equal(await fromLog(app), 0, 'the log was not read for it')

    const fresh = await build(t, { DATABASE_URL: app.config.databaseUrl })
    await storm('from the log', fresh, await listen(t, fresh))
    t.ok(
      (await fromLog(fresh)) <= count.streams,
      'a node that remembers nothing reads the log once for each'
    )
  }
)
