import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { build } from '../support/app.ts'
import { insertChecklist } from '../support/checklists.ts'
import { createDatabase, openSql } from '../support/database.ts'
import { until } from '../support/until.ts'

t.test(
  'operations scan no whole table, though their statements were planned on empty ones',
  async t => {
    const url = await createDatabase(t)
    const app = await build(t, { DATABASE_URL: url })
    // One connection, which reports its own scans before they are counted.
    const sql = openSql(t, url, 1)
    const node: FastifyInstance = Object.create(app, { sql: { value: sql } })
    const { apply, addItems, listId } = await insertChecklist(node)
    // PostgreSQL now knows that the tables are empty. Before, it expects some rows in each.
    await sql`vacuum analyze`
    const items = await addItems('milk', 'bread', 'tea')
    const [itemId = ''] = items
    // The first operation is alone in its statement, and the others share one.
    const tick = (from: boolean) =>
      Promise.all(
        items.map(itemId => apply({ kind: 'item.set', itemId, set: { done: { from, to: !from } } }))
      )
    await tick(false)
    await sql`
    with list as (
      insert into checklists (project_id, title)
      select project_id, 'Other' from checklists, generate_series(1, 12)
      where checklists.id = ${listId}
      returning id
    )
    insert into checklist_items (checklist_id, text)
    select id, 'Item ' || n from list, generate_series(1, 1000) as n`

    await sql`select pg_stat_force_next_flush()`
    await sql`select pg_stat_force_next_flush()`
    const before = await readScans()
    t.ok(
      (before.checklist_items?.scans ?? 0) < 100,
      'an insert with SQL scans no table for each row'
    )
    for (let n = 0; n < 50; n++) {
      await tick(n % 2 === 0)
      const [added = ''] = [randomUUID()]
      await apply({ kind: 'item.add', itemId: added, text: 'eggs', after: itemId })
      await apply({ kind: 'item.move', itemId: added, after: null })
      const seen = { text: 'eggs', done: false, dueOn: null }
      await apply({ kind: 'item.delete', itemId: added, seen })
    }
    // A connection that ends reports its scans at once.
    await app.close()
    await until(async () => ((await readScans()).operations?.inserts ?? 0) >= 300)
    const after = await readScans()
    // Retention scans some tables, too, but not for each operation.
    for (const [name, { scans }] of Object.entries(after))
      t.ok(scans - (before[name]?.scans ?? 0) < 20, name)

    async function readScans() {
      const rows = await sql<{ name: string; scans: number; inserts: number }[]>`
      select relname as name, seq_scan::int as scans, n_tup_ins::int as inserts
      from pg_stat_user_tables
      where relname in (
        'checklists', 'checklist_items', 'deleted_items', 'conflicts', 'operations', 'project_members', 'events'
      )`
      return Object.fromEntries(rows.map(row => [row.name, row]))
    }
  }
)
