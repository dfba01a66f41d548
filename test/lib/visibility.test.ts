import { randomUUID } from 'node:crypto'
import t from 'tap'
import { isVisible, type LogEvent } from '../../lib/event.ts'
import type { PageLimits } from '../../sql/event-page.ts'
import {
  type KeyedEpoch,
  type LogState,
  type Memberships,
  readAfter,
  readMemberships,
  readVisibleAfter
} from '../../sql/log.ts'
import { createDatabase, openSql } from '../support/database.ts'
import { createRandom } from '../support/random.ts'

const [me, other, project, sincePos] = ['me', 'other', 'p', 10]
const inProject = () => sincePos
const outside = () => undefined
const event = { pos: 20, kind: 'item.added', projectId: project, userId: null }

t.test('a member sees events after joining and their own membership events', async t => {
  t.equal(isVisible(event, me, inProject), true)
  t.equal(isVisible({ ...event, pos: 10 }, me, inProject), false, 'before the user joined')
  t.equal(isVisible({ ...event, pos: 10, kind: 'member.added', userId: me }, me, inProject), true)
  t.equal(isVisible({ ...event, pos: 5, kind: 'member.removed', userId: me }, me, inProject), true)
  t.equal(
    isVisible({ ...event, pos: 5, kind: 'member.added', userId: other }, me, inProject),
    false
  )
})

t.test('a former member sees only their own removal', async t => {
  t.equal(isVisible(event, me, outside), false)
  t.equal(isVisible({ ...event, kind: 'member.removed', userId: me }, me, outside), true)
  t.equal(isVisible({ ...event, kind: 'member.added', userId: me }, me, outside), false)
  t.equal(isVisible({ ...event, kind: 'member.removed', userId: other }, me, outside), false)
})

t.test('the end of a session is visible to no user', async t => {
  t.equal(
    isVisible({ pos: 20, kind: 'session.ended', projectId: null, userId: me }, me, inProject),
    false
  )
})

t.test('readVisibleAfter returns exactly the events that isVisible accepts', async t => {
  const sql = openSql(t, await createDatabase(t))
  const random = createRandom(7)
  const ids = (count: number) => Array.from({ length: count }, () => randomUUID())
  const [users, projects] = [ids(4), ids(4)]
  for (const [n, id] of users.entries()) {
    await sql`insert into users (id, email, name) values (${id}, ${`u${n}@example.com`}, 'U')`
  }
  const steps = {
    create: (_user: string, id: string) => sql`
      insert into projects (id, name)
      values (${id}, 'P')
      on conflict do nothing`,
    join: (user: string, id: string) => sql`
      insert into project_members (project_id, user_id, role)
      select id, ${user}, 'viewer'
      from projects
      where id = ${id}
      on conflict do nothing`,
    leave: (user: string, id: string) => sql`
      delete from project_members
      where user_id = ${user} and project_id = ${id}`,
    rename: (_user: string, id: string) =>
      sql`update projects set name = name || '.' where id = ${id}`,
    list: (_user: string, id: string) => sql`
      insert into checklists (project_id, title)
      select id, 'L'
      from projects
      where id = ${id}`,
    drop: (_user: string, id: string) =>
      sql`delete from projects where id = ${id} and random() < 0.3`
  }
  const names = ['create', 'join', 'join', 'leave', 'rename', 'list', 'list', 'drop'] as const
  for (let n = 0; n < 500; n++) {
    await steps[random.pick(names)](random.pick(users), random.pick(projects))
  }

  const { events: raw, committedHead: head } = await readAfter(sql, 0, { rows: 10_000, bytes: 1e9 })
  const events = raw.map(plain)
  let seen = 0
  for (const userId of users) {
    const [memberships] = (await readMemberships(sql, [userId])) as [Memberships]
    const since = new Map(
      memberships.projects.map(({ projectId, sincePos }) => [projectId, sincePos])
    )
    for (const pos of [0, Math.floor(head / 2), head]) {
      const expected = events.filter(
        one => one.pos > pos && isVisible(one, userId, id => since.get(id))
      )
      for (const limits of [
        { rows: 10_000, bytes: 1e9 },
        { rows: 7, bytes: 1e9 },
        { rows: 500, bytes: 2000 }
      ]) {
        const found = await pages(userId, memberships, pos, limits)
        t.strictSame(found, expected, `in pages of ${limits.rows} rows, ${limits.bytes} bytes`)
      }
      seen += expected.length
    }
  }
  t.ok(seen > 50, `${seen} visible of ${events.length} events`)

  /** Reads all pages and checks that each is within its limits; only the last event may exceed the byte limit. */
  async function pages(userId: string, memberships: Memberships, pos: number, limits: PageLimits) {
    const all: LogEvent[] = []
    for (let isLast = false; !isLast; ) {
      const page = await readVisibleAfter(sql, {
        userId,
        memberships,
        pos: all.at(-1)?.pos ?? pos,
        limits
      })
      const before = page.events.slice(0, -1).reduce((sum, { bytes }) => sum + bytes, 0)
      if (page.events.length > limits.rows || before >= limits.bytes) t.fail('a page is too large')
      all.push(...page.events.map(plain))
      isLast = page.isLast
    }
    return all
  }
})

/** Returns an event without the columns of a page and of the state of the log, which the two queries differ in. */
function plain(event: LogEvent): LogEvent {
  const row = event as LogEvent & { startByte: number } & LogState & KeyedEpoch
  const { startByte: _, epoch, epochKey, committedHead, floor, ...rest } = row
  return rest
}
