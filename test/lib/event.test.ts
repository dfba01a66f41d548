import t from 'tap'
import { changeJson, feedJson, type LogEvent, sseBlock } from '../../lib/event.ts'
import { memoize } from '../../lib/memoize.ts'

const at = new Date('2026-01-02T03:04:05.678Z')
const event: LogEvent = {
  pos: 7,
  kind: 'item.updated',
  projectId: 'p',
  checklistId: 'c',
  rev: 3,
  itemId: 'i',
  userId: null,
  before: '{"text":"a"}',
  after: '{"text":"b"}',
  actorId: 'u',
  opId: 'o',
  source: 'ws',
  at,
  bytes: 324
}

t.test('a memoized function computes its result once per object', async t => {
  let made = 0
  const bytesOf = memoize((of: { n: number }) => {
    made++
    return of.n
  })
  const [one, other] = [{ n: 1 }, { n: 2 }]
  t.strictSame([bytesOf(one), bytesOf(one), bytesOf(other)], [1, 1, 2])
  t.equal(made, 2)
})

t.test('changeJson contains the values before and after the change', async t => {
  t.strictSame(JSON.parse(changeJson(event)), {
    rev: 3,
    kind: 'item.updated',
    itemId: 'i',
    actorId: 'u',
    opId: 'o',
    source: 'ws',
    at: at.toISOString(),
    before: { text: 'a' },
    after: { text: 'b' }
  })
  const added = JSON.parse(changeJson({ ...event, itemId: null, before: null }))
  t.notOk('before' in added || 'itemId' in added, 'null fields are omitted')
})

t.test('feedJson contains the ids and values of the event', async t => {
  t.match(JSON.parse(feedJson(event)), {
    type: 'item.updated',
    projectId: 'p',
    checklistId: 'c',
    rev: 3,
    before: { text: 'a' },
    after: { text: 'b' }
  })
  const ofProject = { ...event, checklistId: null, rev: null, itemId: null }
  const project = { id: 'p', name: 'Fair' }
  const deleted = {
    ...ofProject,
    kind: 'project.deleted',
    before: JSON.stringify(project),
    after: null
  }
  t.strictSame(JSON.parse(feedJson(deleted)), {
    type: 'project.deleted',
    projectId: 'p',
    actorId: 'u',
    opId: 'o',
    source: 'ws',
    at: at.toISOString(),
    before: project,
    project
  })
  const member = {
    ...ofProject,
    kind: 'member.removed',
    userId: 'm',
    before: JSON.stringify({ role: 'editor', project }),
    after: null
  }
  t.match(JSON.parse(feedJson(member)), { userId: 'm', role: 'editor', project })
})

t.test('sseBlock formats an event as one block of lines', async t => {
  t.equal(String(sseBlock('x.y', 'id', '{"a":"b"}')), 'event: x.y\nid: id\ndata: {"a":"b"}\n\n')
  t.equal(String(sseBlock('x.y', null, '{}')), 'event: x.y\ndata: {}\n\n')
})
