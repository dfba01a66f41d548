import { randomUUID } from 'node:crypto'
import type postgres from 'postgres'
import { type DemoClient, type NewOperation, withId } from './client.ts'
import type { Timeline } from './timeline.ts'

interface Demo extends Pick<Timeline, 'step' | 'check'> {
  ann: DemoClient
  bob: DemoClient
  sql: postgres.Sql
}

interface ItemText {
  itemId: string
  text: string
}

/** Rows that one step inserts, each in a transaction of its own. */
const inserts = 100

/** Creates a project with a checklist and adds Bob; both open the checklist on sockets. */
export async function createSharedChecklist({ ann, bob, step }: Demo) {
  const { id: projectId } = await step(
    'Ann creates the project "Summer fair"',
    () => ann.request('POST', '/projects', { name: 'Summer fair' }),
    { 'Ann, /events: project.created': ann.nextEvent('project.created') }
  )
  const { userId: bobId } = await step(
    'Ann adds Bob to the project as editor',
    () =>
      ann.request('POST', `/projects/${projectId}/members`, { email: bob.email, role: 'editor' }),
    { 'Bob, /events: member.added': bob.nextEvent('member.added') }
  )
  const { id: listId } = await step(
    'Ann creates the checklist "To do"',
    () => ann.request('POST', `/projects/${projectId}/checklists`, { title: 'To do' }),
    { 'Bob, /events: checklist.created': bob.nextEvent('checklist.created') }
  )
  await step('Both open the checklist on GET /live', () =>
    Promise.all([ann.openChecklist(listId), bob.openChecklist(listId)])
  )
  return { projectId, listId, bobId } as Record<'projectId' | 'listId' | 'bobId', string>
}

/** Changes an item over WebSocket, with SQL and over HTTP. */
export async function editItem({ ann, bob, sql, step }: Demo, listId: string): Promise<ItemText> {
  const itemId = randomUUID()
  const text = 'Order 12 chairs'
  await step(
    'Ann adds "Order chairs"',
    () => ann.push(listId, { kind: 'item.add', itemId, text: 'Order chairs', after: null }),
    {
      'Bob, /live: item.added': bob.nextChange('item.added'),
      'Bob, /events: item.added': bob.nextEvent('item.added')
    }
  )
  await step(
    `Bob changes it to "${text}"`,
    () => bob.push(listId, setText(itemId, 'Order chairs', text)),
    { 'Ann, /live: item.updated': ann.nextChange('item.updated') }
  )
  await step(
    'psql runs: update checklist_items set done = true',
    () => sql`update checklist_items set done = true`,
    {
      'Ann, /live: item.updated, source sql': ann.nextChange('item.updated', isFromSql),
      'Bob, /live: item.updated, source sql': bob.nextChange('item.updated', isFromSql)
    }
  )
  const untick: NewOperation = {
    kind: 'item.set',
    itemId,
    set: { done: { from: true, to: false } }
  }
  await step(
    'Ann unticks it with POST /checklists/:checklistId/ops',
    () => ann.request('POST', `/checklists/${listId}/ops`, { ops: [withId(untick)] }),
    { 'Bob, /live: item.updated, source http': bob.nextChange('item.updated') }
  )
  return { itemId, text }
}

/** Merges edits that both made without a connection. Returns the merged text. */
export async function mergeEdits(
  { ann, bob, step, check }: Demo,
  listId: string,
  { itemId, text }: ItemText
): Promise<string> {
  const [annsText, bobsText] = ['Order 12 white chairs', `${text} by Friday`]
  const merged = 'Order 12 white chairs by Friday'
  await step('Both lose their connection and edit the same text', () => {
    ann.loseConnection()
    bob.loseConnection()
  })
  await step(
    `Ann reconnects and sends "${annsText}"`,
    async () => {
      await ann.openChecklist(listId)
      await ann.push(listId, setText(itemId, text, annsText))
    },
    { 'Ann, /live: item.updated': ann.nextChange('item.updated', hasText(annsText)) }
  )
  const { outcome } = await step(
    `Bob reconnects and sends "${bobsText}"`,
    async () => {
      await bob.openChecklist(listId)
      return bob.push(listId, setText(itemId, text, bobsText))
    },
    {
      [`Ann, /live: "${merged}"`]: ann.nextChange('item.updated', hasText(merged)),
      [`Bob, /live: "${merged}"`]: bob.nextChange('item.updated', hasText(merged))
    }
  )
  check('the text contains both edits, without a conflict', outcome === 'merged')
  return merged
}

/** Makes Bob's change conflict with Ann's, then resolves the conflict. */
export async function resolveConflict(
  { ann, bob, step, check }: Demo,
  listId: string,
  { itemId, text }: ItemText
) {
  const [fifteen, twenty] = [text.replace('12', '15'), text.replace('12', '20')]
  await step(
    `Ann changes it to "${fifteen}"`,
    () => ann.push(listId, setText(itemId, text, fifteen)),
    { 'Bob, /live: item.updated': bob.nextChange('item.updated', hasText(fifteen)) }
  )
  const { outcome, conflictId = '' } = await step(
    `Bob changes the older text to "${twenty}"`,
    () => bob.push(listId, setText(itemId, text, twenty)),
    {
      'Ann, /live: conflict.opened, 15 is live, 20 is kept': ann.nextChange('conflict.opened'),
      'Bob, /live: conflict.opened, 15 is live, 20 is kept': bob.nextChange('conflict.opened')
    }
  )
  check("Bob's change is a conflict and overwrites nothing", outcome === 'conflict')
  await step(
    "Ann resolves the conflict with Bob's text",
    () =>
      ann.push(listId, { kind: 'conflict.resolve', conflictId, choice: 'theirs', seen: fifteen }),
    {
      'Bob, /live: conflict.resolved': bob.nextChange('conflict.resolved'),
      [`Bob, /live: "${twenty}"`]: bob.nextChange('item.updated', hasText(twenty))
    }
  )
}

/** Inserts items with SQL while the LISTEN connections are terminated. */
export async function insertWhileListenersDie(
  { ann, bob, sql, step, check }: Demo,
  listId: string
) {
  const insert = (n: number) =>
    sql`insert into checklist_items (checklist_id, text) values (${listId}, ${`Table ${n}`})`
  const killed = await step(
    `SQL inserts ${inserts - 1} items, one in each commit; all LISTEN connections are killed twice`,
    async () => {
      let killed = 0
      for (let n = 1; n < inserts; n++) {
        await insert(n)
        if (n === 30 || n === 60) killed += await killListeners(sql)
      }
      return killed
    }
  )
  const isLast = hasText(`Table ${inserts}`)
  await step(`SQL inserts item ${inserts}`, () => insert(inserts), {
    [`Ann, /live: item ${inserts}`]: ann.nextChange('item.added', isLast),
    [`Bob, /live: item ${inserts}`]: bob.nextChange('item.added', isLast),
    [`Bob, /events: item ${inserts}`]: bob.nextEvent('item.added', ({ data }) => isLast(data))
  })
  check(`${killed} connections were killed`, killed >= 2)
  check(`Bob received all ${inserts} on /live, each once, in order`, hasAllRevisions(bob))
  check(`Bob received all ${inserts} on /events, each once, in order`, hasAllInserts(bob))
}

/** Resumes a stream with its cursor. */
export async function resumeStream(
  { ann, bob, step, check }: Demo,
  { projectId, listId }: { projectId: string; listId: string }
) {
  await step("Bob's stream of /events closes", () => bob.closeStream())
  const received = bob.events.all.length
  await step('Ann renames the checklist, then the project', async () => {
    await ann.push(listId, { kind: 'list.rename', from: 'To do', to: 'To do by Friday' })
    await ann.request('PATCH', `/projects/${projectId}`, { name: 'Autumn fair' })
  })
  await step('Bob opens /events with his Last-Event-ID', () => bob.openStream(), {
    'Bob, /events: checklist.updated': bob.nextEvent('checklist.updated'),
    'Bob, /events: project.updated': bob.nextEvent('project.updated')
  })
  const missed = bob.events.all.slice(received).map(({ event }) => event)
  check(
    'Bob received these two events and none twice',
    missed.filter(event => event !== 'ready').join() === 'checklist.updated,project.updated'
  )
}

/** Removes Bob from the project: he receives no further event of it. */
export async function removeMember(
  { ann, bob, step, check }: Demo,
  { projectId, listId, bobId }: { projectId: string; listId: string; bobId: string }
) {
  await step(
    'Ann removes Bob from the project',
    () => ann.request('DELETE', `/projects/${projectId}/members/${bobId}`),
    {
      'Bob, /events: member.removed': bob.nextEvent('member.removed'),
      'Bob, /live: revoked': bob.messages.next(({ type }) => type === 'revoked')
    }
  )
  const received = bob.events.all.length
  await step('Ann adds "Surprise"', () =>
    ann.push(listId, { kind: 'item.add', itemId: randomUUID(), text: 'Surprise', after: null })
  )
  await step(
    'Bob creates a project of his own',
    () => bob.request('POST', '/projects', { name: 'Home' }),
    { 'Bob, /events: project.created': bob.nextEvent('project.created') }
  )
  check(
    'this is the next event that Bob receives',
    bob.events.all[received]?.event === 'project.created'
  )
}

/** Terminates the LISTEN connections of all nodes. Returns their number. */
async function killListeners(sql: postgres.Sql): Promise<number> {
  const killed = await sql`
    select pg_terminate_backend(pid)
    from pg_stat_activity
    where application_name = 'concord listen'`
  return killed.length
}

function setText(itemId: string, from: string, to: string): NewOperation {
  return { kind: 'item.set', itemId, set: { text: { from, to } } }
}

function isFromSql({ source }: { source: string }): boolean {
  return source === 'sql'
}

function hasText(text: string) {
  return ({ after }: { after?: object }) => (after as { text?: string })?.text === text
}

/** Returns whether the revisions of every `changes` message follow those of the message before. */
function hasAllRevisions({ messages }: DemoClient): boolean {
  const pages = messages.all.filter(({ type }) => type === 'changes')
  return pages.every(({ from }, n) => n === 0 || from === (pages[n - 1]?.to ?? 0) + 1)
}

/** Returns whether the stream received each inserted item once and in order. */
function hasAllInserts({ events }: DemoClient): boolean {
  const numbers = events.all.flatMap(
    ({ data }) => /^Table (\d+)$/.exec(data.after?.text ?? '')?.[1] ?? []
  )
  return numbers.length === inserts && numbers.every((number, n) => Number(number) === n + 1)
}
