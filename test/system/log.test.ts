import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import type { LogEvent } from '../../lib/event.ts'
import type { Sql } from '../../sql/executor.ts'
import { readAfter } from '../../sql/log.ts'
import { createDatabase, holdLock, openSql } from '../support/database.ts'
import { insertProject } from '../support/projects.ts'
import { createRandom } from '../support/random.ts'
import { until } from '../support/until.ts'
import { insertUser } from '../support/users.ts'

/** Inserts a project, its owner and `lists` checklists; `connect` opens more connections. */
async function setUp(t: Test, lists = 1) {
  const url = await createDatabase(t)
  const connect = () => openSql(t, url)
  const sql = connect()
  const userId = await insertUser(sql)
  const projectId = await insertProject(sql, userId)
  const rows = await sql<{ id: string }[]>`
    insert into checklists (project_id, title)
    select ${projectId}, 'List ' || n
    from generate_series(1, ${lists}) as n
    returning id`
  const listIds = rows.map(({ id }) => id)
  return {
    sql,
    connect,
    userId,
    projectId,
    listIds,
    listId: listIds[0] as string
  }
}

/** Returns kind and revision of the events after `pos`. */
async function eventsAfter(sql: Sql, pos = 0): Promise<string[]> {
  const { events } = await readAfter(sql, pos, { rows: 100_000, bytes: 1e9 })
  return events.map(({ kind, rev }) => (rev === null ? kind : `${kind} ${rev}`))
}

async function head(sql: Sql): Promise<number> {
  const [row] = await sql<[{ pos: number }]>`select coalesce(max(pos), 0) as pos from events`
  return row.pos
}

/** Polls the log from its last position, like a client, until `stop` is called. */
function follow(sql: Sql) {
  const seen: LogEvent[] = []
  let isOver = false
  const done = read()
  return {
    seen,
    async stop() {
      isOver = true
      await done
    }
  }

  async function read() {
    for (let isLast = false; ; isLast = isOver) {
      const { events } = await readAfter(sql, seen.at(-1)?.pos ?? 0, { rows: 50, bytes: 1e9 })
      seen.push(...events)
      if (events.length === 0 && isLast) return
    }
  }
}

/** Returns a writer that changes items of its own on all checklists with every kind of statement. */
function writer(sql: Sql, listIds: string[], seed: number) {
  const random = createRandom(seed)
  // The committed changes by item, which the log must contain.
  const committed = new Map<string, string[]>()
  const items = new Map<string, { listId: string; text: string }>()

  return { committed, transact }

  async function transact() {
    const isRolledBack = random.chance(0.15)
    const attempt = { notes: [] as [string, string][], items: new Map(items) }
    await sql
      .begin(async tx => {
        for (const listId of random.shuffled(listIds).slice(0, random.upTo(3) + 1)) {
          await step(tx as unknown as Sql, listId, attempt)
        }
        if (isRolledBack) throw new Error('rolled back')
      })
      .catch((error: Error) => {
        if (error.message !== 'rolled back') throw error
      })
    if (isRolledBack) return
    items.clear()
    for (const [id, item] of attempt.items) items.set(id, item)
    for (const [id, note] of attempt.notes) committed.set(id, [...(committed.get(id) ?? []), note])
  }

  async function step(
    tx: Sql,
    listId: string,
    attempt: { notes: [string, string][]; items: Map<string, { listId: string; text: string }> }
  ) {
    const mine = [...attempt.items].filter(([, item]) => item.listId === listId).map(([id]) => id)
    const text = `text ${random.upTo(1_000_000)}`
    const note = (kind: string, ids: string[], value = text) => {
      for (const id of ids) {
        attempt.notes.push([id, `${kind} ${value}`])
        if (kind === 'item.deleted') attempt.items.delete(id)
        else attempt.items.set(id, { listId, text: value })
      }
    }

    const ways = {
      async insertMany() {
        const ids = Array.from({ length: random.upTo(5) + 1 }, () => randomUUID())
        await tx`
          insert into checklist_items (id, checklist_id, text)
          select id, ${listId}, ${text}
          from unnest(${ids}::uuid[]) as new (id)`
        note('item.added', ids)
      },

      async updateMany() {
        await tx`update checklist_items set text = ${text} where id = any (${mine}::uuid[])`
        note('item.updated', mine)
      },

      async updateNothing() {
        await tx`update checklist_items set text = text where id = any (${mine}::uuid[])`
      },

      async upsert() {
        const fresh = randomUUID()
        const ids = [fresh, ...mine.slice(0, 2)]
        await tx`
          insert into checklist_items (id, checklist_id, text)
          select id, ${listId}, ${text}
          from unnest(${ids}::uuid[]) as new (id)
          on conflict (id) do update set text = excluded.text`
        note('item.added', [fresh])
        note('item.updated', ids.slice(1))
      },

      async insertIgnored() {
        await tx`
          insert into checklist_items (id, checklist_id, text)
          select id, ${listId}, ${text}
          from unnest(${mine}::uuid[]) as new (id)
          on conflict do nothing`
      },

      async remove() {
        const ids = mine.slice(0, 1)
        await tx`delete from checklist_items where id = any (${ids}::uuid[])`
        note('item.deleted', ids, '')
      },

      async savepoint() {
        const [undone, kept] = [randomUUID(), randomUUID()]
        await tx`savepoint here`
        await tx`insert into checklist_items (id, checklist_id, text) values (${undone}, ${listId}, ${text})`
        await tx`rollback to savepoint here`
        await tx`savepoint there`
        await tx`insert into checklist_items (id, checklist_id, text) values (${kept}, ${listId}, ${text})`
        await tx`release savepoint there`
        note('item.added', [kept])
      }
    }
    await random.pick(Object.values(ways))()
  }
}

const noteOf = ({ kind, after }: LogEvent) => `${kind} ${JSON.parse(after ?? '{}').text ?? ''}`

t.test('a client that polls the log misses no event of ten writers', async t => {
  const { sql, connect, listIds } = await setUp(t, 5)
  const start = await head(sql)
  const follower = follow(connect())
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
  t.comment(`SEED=${seed}`)
  const writers = Array.from({ length: 10 }, (_, n) => writer(connect(), listIds, seed + n))
  await Promise.all(
    writers.map(async ({ transact }) => {
      for (let n = 0; n < 60; n++) await transact()
    })
  )
  await follower.stop()

  const { events: all } = await readAfter(sql, 0, { rows: 100_000, bytes: 1e9 })
  t.strictSame(
    follower.seen.map(({ pos }) => pos),
    all.map(({ pos }) => pos),
    'the polled events equal the log, in order'
  )
  const ofItems = Map.groupBy(
    follower.seen.filter(({ pos }) => pos > start),
    ({ itemId }) => itemId as string
  )
  const expected = new Map(writers.flatMap(({ committed }) => [...committed]))
  t.ok(expected.size > 500, `${expected.size} items, ${follower.seen.length} events`)
  t.strictSame(
    new Map([...ofItems].map(([id, events]) => [id, events.map(noteOf)])),
    expected,
    'every committed change is logged once, in order; no rolled back one is'
  )
  for (const listId of listIds) {
    const revs = follower.seen
      .filter(({ checklistId }) => checklistId === listId)
      .map(({ rev }) => rev)
    t.strictSame(
      revs,
      revs.map((_, n) => n + 1),
      'revisions have no gap and are in commit order'
    )
    const [counter] = await sql`select rev from checklist_revs where checklist_id = ${listId}`
    t.equal(counter?.rev, revs.length)
  }
  t.equal((await sql`select from pending_events`).length, 0, 'no pending event is left')
})

t.test('an open transaction delays no other and is logged at its commit', async t => {
  const { sql, connect, listId } = await setUp(t)
  const start = await head(sql)
  const commit = await holdLock(
    connect(),
    tx => tx`insert into checklist_items (checklist_id, text) values (${listId}, 'first written')`
  )
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, 'first committed')`
  t.strictSame(await eventsAfter(sql, start), ['item.added 2'])
  await commit()
  const texts = (await readAfter(sql, start, { rows: 10, bytes: 1e9 })).events.map(noteOf)
  t.strictSame(texts, ['item.added first committed', 'item.added first written'])
})

t.test('two transactions with opposite lock order both commit', async t => {
  const { sql, connect, listIds } = await setUp(t, 2)
  const [one, other] = [connect(), connect()]
  const insertInto = (on: Sql, order: string[]) =>
    on.begin(async tx => {
      for (const id of order) {
        await tx`insert into checklist_items (checklist_id, text) values (${id}, 'x')`
      }
    })
  for (let n = 0; n < 50; n++) {
    await Promise.all([insertInto(one, listIds), insertInto(other, listIds.toReversed())])
  }
  const revs = await sql`select rev from checklist_revs`
  t.strictSame(
    revs.map(({ rev }) => rev),
    [101, 101]
  )
})

t.test('a commit with synchronous_commit off is made durable', async t => {
  const { sql, listId } = await setUp(t)
  await sql.begin(async tx => {
    await tx`set local synchronous_commit = off`
    await tx`insert into checklist_items (checklist_id, text) values (${listId}, 'x')`
    await tx`set constraints number_events immediate`
    const [row] = await tx`show synchronous_commit`
    t.equal(row?.synchronous_commit, 'on')
  })
})

t.test('TRUNCATE is refused with the hint to use DELETE', async t => {
  const { sql } = await setUp(t)
  const tables = [
    'users',
    'sessions',
    'projects',
    'project_members',
    'checklists',
    'checklist_items'
  ]
  const refused = { code: '0A000', hint: 'use DELETE' }
  for (const table of [...tables, 'events']) {
    await t.rejects(sql`truncate ${sql(table)} cascade`, refused, table)
  }
})

t.test('the id and the parent of a row cannot change', async t => {
  const { sql, listIds } = await setUp(t, 2)
  const start = await head(sql)
  await sql`insert into checklist_items (checklist_id, text) values (${listIds[0] as string}, 'x')`
  const refused = { code: '0A000' }
  await t.rejects(sql`update checklist_items set checklist_id = ${listIds[1] as string}`, refused)
  await t.rejects(sql`update checklist_items set id = gen_random_uuid()`, refused)
  await t.rejects(sql`update checklists set project_id = gen_random_uuid()`, refused)
  await t.rejects(sql`update project_members set user_id = gen_random_uuid()`, refused)
  await t.rejects(sql`update projects set id = gen_random_uuid()`, refused)
  t.strictSame(await eventsAfter(sql, start), ['item.added 2'])
})

t.test('a write that changes no value creates no event', async t => {
  const { sql, listId, projectId } = await setUp(t)
  const itemId = randomUUID()
  await sql`insert into checklist_items (id, checklist_id, text) values (${itemId}, ${listId}, 'Milk')`
  const start = await head(sql)
  await sql`update checklist_items set text = text, done = done, due_on = due_on`
  await sql`update checklists set title = title, deleted_at = deleted_at`
  await sql`update projects set name = name where id = ${projectId}`
  await sql`update project_members set role = role`
  await sql`
    insert into checklist_items (id, checklist_id, text)
    values (${itemId}, ${listId}, 'Milk')
    on conflict (id) do update set text = excluded.text`
  await sql`insert into checklist_items (id, checklist_id, text) values (${itemId}, ${listId}, 'x') on conflict do nothing`
  await sql`delete from checklist_items where text = 'no such'`
  t.strictSame(await eventsAfter(sql, start), [])
  await sql`update checklist_items set done = true`
  t.strictSame(await eventsAfter(sql, start), ['item.updated 3'])
})

t.test('deleting a parent creates one event for all its children', async t => {
  const { sql, listIds, projectId, userId } = await setUp(t, 2)
  const [first = ''] = listIds
  await sql`insert into checklist_items (checklist_id, text) select id, 'x' from checklists, generate_series(1, 3)`
  let start = await head(sql)
  await sql`delete from checklists where id = ${first}`
  t.strictSame(await eventsAfter(sql, start), ['checklist.deleted 5'])

  start = await head(sql)
  await sql`delete from projects where id = ${projectId}`
  t.strictSame(await eventsAfter(sql, start), ['project.deleted', 'member.removed'])

  await insertProject(sql, userId)
  start = await head(sql)
  await sql`delete from users where id = ${userId}`
  t.strictSame(
    await eventsAfter(sql, start),
    ['project.deleted', 'member.removed'],
    'a project is deleted with its only owner'
  )
})

t.test('a serialisation failure returns 40001 and the log stays complete', async t => {
  const { sql, connect, listId } = await setUp(t)
  const start = await head(sql)
  const insert = (on: Sql, level: string) =>
    on.begin(`isolation level ${level}`, async tx => {
      await tx`select count(*) from checklist_items`
      await tx`insert into checklist_items (checklist_id, text) values (${listId}, ${level})`
    })
  for (const level of ['repeatable read', 'serializable']) {
    const connections = Array.from({ length: 6 }, () => connect())
    const ends = await Promise.allSettled(connections.map(on => insert(on, level)))
    for (const end of ends) {
      if (end.status === 'rejected') t.equal(end.reason.code, '40001', level)
    }
    // A client with this isolation level must retry.
    await until(() => insert(sql, level).then(() => true))
  }
  const [count] = await sql`select count(*)::int as n from checklist_items`
  t.strictSame(
    await eventsAfter(sql, start),
    Array.from({ length: count?.n }, (_, n) => `item.added ${n + 2}`)
  )
  t.equal((await sql`select from pending_events`).length, 0)
})

t.test('ten thousand rows of one statement are logged in order', async t => {
  const { sql, connect, listId } = await setUp(t)
  const start = await head(sql)
  const follower = follow(connect())
  await sql`
    insert into checklist_items (checklist_id, text, position)
    select ${listId}, 'Chair ' || n, n
    from generate_series(1, 10000) as n`
  await follower.stop()
  const bulk = follower.seen.filter(({ pos }) => pos > start)
  t.equal(bulk.length, 10_000)
  t.ok(
    bulk.every(({ rev, after }, n) => rev === n + 2 && JSON.parse(after ?? '').position === n + 1),
    'in the order of the statement, numbered without a gap'
  )
})

t.test('an event names the actor that its transaction set', async t => {
  const { sql, listId, userId } = await setUp(t)
  const start = await head(sql)
  const opId = randomUUID()
  await sql.begin(async tx => {
    await tx`
      select
        set_config('app.actor', ${userId}, true),
        set_config('app.op', ${opId}, true),
        set_config('app.source', 'ws', true)`
    await tx`insert into checklist_items (checklist_id, text) values (${listId}, 'x')`
  })
  await sql`update checklist_items set done = true`
  const [byUser, bySql] = (await readAfter(sql, start, { rows: 10, bytes: 1e9 })).events
  t.match(byUser, { actorId: userId, opId, source: 'ws' })
  t.match(bySql, { actorId: null, opId: null, source: 'sql' })
})

t.test('a text of the maximum length is logged', async t => {
  const { sql, listId } = await setUp(t)
  const text = '😀'.repeat(2000)
  await sql`insert into checklist_items (checklist_id, text) values (${listId}, ${text})`
  const { events: all } = await readAfter(sql, 0, { rows: 100, bytes: 1e9 })
  t.equal(JSON.parse(all.at(-1)?.after ?? '{}').text, text)
})
