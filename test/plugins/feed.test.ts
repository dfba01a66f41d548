import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { openFeed, openLive } from '../clients.ts'
import { build, listen, person, until } from '../helper.ts'
import { caller } from '../team.ts'

/** The value of a metric, by its name with labels. */
async function metric(app: FastifyInstance, name: string): Promise<number> {
  const { payload } = await app.inject({ url: '/metrics' })
  const line = payload.split('\n').find(one => one.startsWith(`concord_${name} `))
  return Number(line?.split(' ').at(-1))
}

t.test(
  'a reader that stops holds a bounded number of bytes, hinders nobody, and catches up',
  async t => {
    const app = await build(t)
    const url = await listen(t, app)
    const ann = await person(app)
    const ask = caller(app, ann)
    const { id: projectId } = (await ask('POST', '/projects', { name: 'Fair' })).json()
    const { id: listId } = (
      await ask('POST', `/projects/${projectId}/checklists`, { title: 'To buy' })
    ).json()
    const req = get(`${url}/events`, { headers: ann.headers, agent: false })
    t.teardown(() => req.destroy())
    const [slow] = (await once(req, 'response')) as [IncomingMessage]
    const socket = await openLive(t, url, ann.headers)
    await socket.open(listId)
    socket.socket.pause()
    const healthy = await openFeed(t, url, ann.headers)
    await healthy.next('ready')

    const count = 8000
    const [row] = await app.sql`
    with added as (
      insert into checklist_items (checklist_id, text, position)
      select ${listId}, n || repeat('x', 1900), n
      from generate_series(1, ${count}) as n
      returning text
    )
    select sum(length(text))::int as bytes
    from added`
    t.ok(row?.bytes > 15_000_000, 'more than the kernel takes')
    await until(() => healthy.events.length === count + 1, 30_000)
    await until(async () => (await metric(app, 'stream_buffered_bytes')) > 60_000)
    const most = 2 * (64 << 10)
    t.ok((await metric(app, 'stream_buffered_bytes')) < most)
    t.ok((await metric(app, 'socket_buffered_bytes')) < most)

    let text = ''
    slow.setEncoding('utf8').on('data', chunk => {
      text += chunk
    })
    socket.socket.resume()
    const revs = () => [...text.matchAll(/"rev":(\d+),"itemId"/g)].map(([, rev]) => Number(rev))
    const all = Array.from({ length: count }, (_, n) => n + 2)
    await until(() => revs().length >= count, 30_000)
    t.strictSame(revs(), all, 'everything, once, in order')
    const heard = () =>
      socket.messages.flatMap(({ changes }) => changes?.map(({ rev }) => rev) ?? [])
    await until(() => heard().length >= count, 30_000)
    t.strictSame(heard(), all)
  }
)
