import { randomUUID } from 'node:crypto'
import type postgres from 'postgres'
import type { DemoClient } from './client.ts'
import { type Demo, hasText } from './demo.ts'

/** number of rows that one step inserts, each in its own transaction */
const inserts = 100

/** Inserts items with SQL, and terminates the LISTEN connections meanwhile. */
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
  check(`Bob received all ${inserts} items on /live, each once, in order`, hasAllRevisions(bob))
  check(`Bob received all ${inserts} items on /events, each once, in order`, hasAllInserts(bob))
}

/** Closes Bob's stream, makes two changes, and resumes the stream with its cursor. */
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
    'Bob received these two events, each once',
    missed.filter(event => event !== 'ready').join() === 'checklist.updated,project.updated'
  )
}

/** Removes Bob from the project, and checks that he receives no further event of the project. */
export async function removeBob(
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
    'the next event that Bob receives is project.created',
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

/**
 * Returns whether the revisions have no gap: each `changes` message must begin with the revision after the previous
 * message.
 */
function hasAllRevisions({ messages }: DemoClient): boolean {
  const pages = messages.all.filter(({ type }) => type === 'changes')
  return pages.every(({ from }, n) => n === 0 || from === (pages[n - 1]?.to ?? 0) + 1)
}

/** Returns whether the stream received each inserted item exactly once, in order. */
function hasAllInserts({ events }: DemoClient): boolean {
  const numbers = events.all.flatMap(
    ({ data }) => /^Table (\d+)$/.exec(data.after?.text ?? '')?.[1] ?? []
  )
  return numbers.length === inserts && numbers.every((number, n) => Number(number) === n + 1)
}
