import { randomUUID } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { withTimeout } from '../../lib/with-timeout.ts'
import type { Sql } from '../../sql/executor.ts'
import { type Fixtures, post, send } from './fixtures.ts'

const limits = { items: 60, timeoutMs: 15_000 }

/** Starts writers that send requests to random nodes and run every kind of SQL statement, until `stop` is called. */
export function startWriters(
  fixtures: Fixtures,
  written: { done: number; refused: number },
  pauseMs: number
) {
  const { sql, random, addresses, projects, temporaryMembers, members } = fixtures
  let isStopped = false
  const running = [...httpWriters(), ...sqlWriters()].map(repeat)

  return {
    async stop() {
      isStopped = true
      await Promise.all(running)
    }
  }

  async function repeat(write: () => Promise<unknown>) {
    while (!isStopped) {
      try {
        // In the driver, a COPY or a transaction whose connection was killed may neither resolve nor reject.
        await withTimeout(write(), limits.timeoutMs)
        written.done++
      } catch {
        // The database or a node is down.
        written.refused++
      }
      await sleep(random.next() * 2 * pauseMs)
    }
  }

  function httpWriters() {
    const node = () => random.pick(addresses)
    const project = () => random.pick(projects)
    return [
      () => {
        const { owner, listIds } = project()
        const ops = Array.from({ length: 1 + random.upTo(3) }, () => ({
          opId: randomUUID(),
          kind: 'item.add',
          itemId: randomUUID(),
          text: `from http ${random.upTo(1e6)}`,
          after: null
        }))
        return post(node(), `/checklists/${random.pick(listIds)}/ops`, owner, { ops })
      },
      () => {
        const { id, owner } = project()
        const { email } = random.pick(temporaryMembers)
        return post(node(), `/projects/${id}/members`, owner, {
          email,
          role: random.pick(['editor', 'viewer'])
        })
      },
      () => {
        const { id, owner } = project()
        return send(
          'DELETE',
          node(),
          `/projects/${id}/members/${random.pick(temporaryMembers).id}`,
          owner
        )
      },
      () => {
        const { id, owner } = project()
        return send('PATCH', node(), `/projects/${id}`, owner, {
          name: `Project ${random.upTo(1e6)}`
        })
      }
    ]
  }

  function sqlWriters() {
    const list = () => random.pick(projects.flatMap(({ listIds }) => listIds))
    const project = () => random.pick(projects).id
    const text = () => `from sql ${random.upTo(1e6)}`
    const some = (on: Sql, listId: string, count: number) => on`
      (select id from checklist_items where checklist_id = ${listId} order by id limit ${count})`

    return [
      async function manyRows() {
        const listId = list()
        await sql`
          insert into checklist_items (checklist_id, text)
          select ${listId}, ${text()}
          from generate_series(1, ${1 + random.upTo(5)})`
        await sql`
          update checklist_items
          set done = not done, text = case when random() < 0.3 then ${text()} else text end
          where id in ${some(sql, listId, 4)}`
      },

      async function trim() {
        const listId = list()
        await sql`
          delete from checklist_items
          where checklist_id = ${listId}
          and id not in ${some(sql, listId, limits.items)}`
      },

      async function severalLists() {
        await sql.begin(async tx => {
          for (const listId of random.shuffled([list(), list(), list()])) {
            await tx`insert into checklist_items (checklist_id, text) values (${listId}, ${text()})`
          }
          await tx`savepoint here`
          await tx`insert into checklist_items (checklist_id, text) values (${list()}, 'undone')`
          await tx`rollback to savepoint here`
          if (random.chance(0.2)) throw new Error('rolled back')
        })
      },

      async function upsert() {
        const listId = list()
        await sql`
          insert into checklist_items (id, checklist_id, text)
          select id, checklist_id, ${text()}
          from checklist_items
          where id in ${some(sql, listId, 3)}
          union all
          select gen_random_uuid(), ${listId}, ${text()}
          on conflict (id) do update set text = excluded.text`
      },

      async function copy() {
        const rows = Array.from({ length: 1 + random.upTo(8) }, () => `${list()}\t${text()}\n`)
        const copying = await sql`copy checklist_items (checklist_id, text) from stdin`.writable()
        // The database may also cancel the statement when all rows have been sent.
        copying.on('error', () => {})
        await pipeline(rows, copying)
      },

      async function cascade() {
        const [made] = await sql`
          insert into checklists (project_id, title)
          values (${project()}, 'Deleted soon')
          returning id`
        await sql`insert into checklist_items (checklist_id, text) select ${made?.id}, 'x' from generate_series(1, 3)`
        await sql`delete from checklists where id = ${made?.id}`
      },

      async function addAndRemove() {
        const { id } = random.pick(temporaryMembers)
        await sql`
          insert into project_members (project_id, user_id, role)
          values (${project()}, ${id}, 'viewer')
          on conflict (project_id, user_id) do update set role = 'editor'`
        await sleep(random.next() * 1000)
        await sql`delete from project_members where project_id = ${project()} and user_id = ${id}`
      },

      async function projectOfTemporaryMembers() {
        const [made] = await sql`insert into projects (name) values ('Short') returning id`
        await sql`
          insert into project_members (project_id, user_id, role)
          select ${made?.id}, id, 'owner'
          from unnest(${temporaryMembers.map(({ id }) => id)}::uuid[]) as member (id)`
        await sql`insert into checklists (project_id, title) values (${made?.id}, 'x')`
        await sql`delete from projects where id = ${made?.id}`
      },

      /** Holds a transaction open while others commit. */
      async function slow() {
        await sql.begin(async tx => {
          await tx`insert into checklist_items (checklist_id, text) values (${list()}, ${text()})`
          await sleep(random.next() * 5000)
        })
      },

      async function roles() {
        const { account, projectIds } = random.pick(members.slice(1))
        await sql`
          update project_members
          set role = case role when 'editor' then 'owner' else 'editor' end
          where user_id = ${account.id} and project_id = ${random.pick(projectIds)}`
      }
    ]
  }
}
