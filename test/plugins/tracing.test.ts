import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import t from 'tap'
import { startNode } from '../support/app.ts'
import { createDatabase, openSql } from '../support/database.ts'
import { openLive } from '../support/live-client.ts'
import { createChecklist, createProject } from '../support/projects.ts'
import { openFeed } from '../support/sse-client.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'

interface Received {
  name: string
  traceId: string
  spanId: string
  parentSpanId?: string
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: { key: string; value: { stringValue?: string; intValue?: number } }[]
  /** the process that sent it */
  instance: string
}

interface Body {
  resourceSpans: {
    resource: { attributes: { key: string; value: { stringValue?: string } }[] }
    scopeSpans: { spans: Received[] }[]
  }[]
}

/** Starts an OTLP/HTTP receiver. Returns its address, the spans and the bodies that it has received. */
async function startReceiver() {
  const spans: Received[] = []
  const bodies: string[] = []
  const server = createServer(async (request, response) => {
    const body = (await json(request)) as Body
    bodies.push(`${request.url} ${JSON.stringify(body)}`)
    for (const { resource, scopeSpans } of body.resourceSpans) {
      const instance =
        resource.attributes.find(({ key }) => key === 'service.instance.id')?.value.stringValue ??
        ''
      for (const { spans: some } of scopeSpans)
        spans.push(...some.map(span => ({ ...span, instance })))
    }
    response.setHeader('content-type', 'application/json').end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans, bodies }
}

const receiver = await startReceiver()
const databaseUrl = await createDatabase(t)
const env = { DATABASE_URL: databaseUrl, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url }
const writer = await startNode(t, env)
const other = await startNode(t, env)
const sql = openSql(t, databaseUrl)
const ann = await createUser(writer.app)
const projectId = await createProject(ann)
const listId = await createChecklist(ann, projectId)

/** Waits for the spans of a trace with these names; both nodes deliver. Returns the spans of the trace. */
async function traceWith(root: string, names: string[], isRoot = (_: Received) => true) {
  const spansOf = () => {
    const first = receiver.spans.findLast(span => span.name === root && isRoot(span))
    return receiver.spans.filter(({ traceId }) => traceId === first?.traceId)
  }
  const complete = () => {
    const spans = spansOf()
    const nodes = new Set(spans.filter(({ name }) => name === 'deliver').map(s => s.instance))
    return nodes.size === 2 && names.every(wanted => spans.some(({ name }) => name === wanted))
  }
  await until(complete).catch(() => {})
  const spans = spansOf()
  for (const name of [root, ...names, 'deliver'])
    t.ok(
      spans.some(span => span.name === name),
      `${root} has ${name}`
    )
  return spans
}

t.test('a change over HTTP is one trace from request to delivery on two nodes', async t => {
  const feed = await openFeed(t, other.url, ann.headers)
  await feed.next('ready')
  const traceId = randomUUID().replaceAll('-', '')
  const parentId = 'b7ad6b7169203331'
  const { statusCode } = await writer.app.inject({
    method: 'POST',
    url: `/projects/${projectId}/checklists`,
    headers: { ...ann.headers, traceparent: `00-${traceId}-${parentId}-01` },
    payload: { title: 'Private title' }
  })
  t.equal(statusCode, 201)
  await feed.next('checklist.created')
  const root = 'POST /projects/:projectId/checklists'
  const spans = await traceWith(root, ['statement', 'commit'], span => span.traceId === traceId)
  const [request] = spans.filter(({ name }) => name === root)
  t.equal(request?.parentSpanId, parentId)
  for (const span of spans.filter(({ name }) => name !== root))
    t.equal(span.parentSpanId, request?.spanId, span.name)
  const statement = spans.find(
    ({ name, attributes }) =>
      name === 'statement' &&
      attributes.some(({ value }) => value.stringValue?.includes('insert into checklists'))
  )
  t.ok(statement)
  t.equal(spans.filter(({ name }) => name === 'commit').length, 1)
  t.equal(new Set(spans.filter(({ name }) => name === 'deliver').map(s => s.instance)).size, 2)
})

t.test('a push on a socket is one trace', async t => {
  const socket = await openLive(t, writer.url, ann.headers)
  await socket.open(listId)
  const [result] = await socket.push(listId, {
    opId: randomUUID(),
    kind: 'item.add',
    itemId: randomUUID(),
    text: 'Private text',
    after: null
  })
  t.equal(result?.outcome, 'applied')
  await traceWith('socket push', ['operations', 'commit'])
})

t.test('plain SQL and requests that are not sampled leave no trace', async t => {
  const count = receiver.spans.filter(({ name }) => name === 'deliver').length
  const notSampled = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-00`
  await writer.app.inject({
    method: 'POST',
    url: `/projects/${projectId}/checklists`,
    headers: { ...ann.headers, traceparent: notSampled },
    payload: { title: 'Not sampled' }
  })
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'From SQL')`
  const events =
    await sql`select trace from events where trace is null and checklist_id is not null`
  t.equal(events.length, 2)
  t.notOk(receiver.spans.some(({ traceId }) => traceId === 'a'.repeat(32)))
  t.equal(receiver.spans.filter(({ name }) => name === 'deliver').length, count)
})

t.test('spans contain no text of a user', async t => {
  t.ok(receiver.bodies.every(body => body.startsWith('/v1/traces ')))
  const sent = receiver.bodies.join('\n')
  for (const text of ['Private', 'Ann', ann.email, ann.token, ann.password, 'From SQL'])
    t.notMatch(sent, text)
})

t.test('without an endpoint, OpenTelemetry is not loaded', async t => {
  const plugin = readFileSync(join(import.meta.dirname, '../../plugins/tracing.ts'), 'utf8')
  t.match(plugin, "await import('../lib/tracing.ts')")
  const { app } = await startNode(t, { DATABASE_URL: databaseUrl })
  t.equal(app.tracing, undefined)
})
