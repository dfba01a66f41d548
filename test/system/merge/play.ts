import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { Operation, Result } from '../../../schemas/operation.ts'
import { insertProject } from '../../support/projects.ts'
import { createUser, type User } from '../../support/users.ts'

interface ScenarioItem {
  itemId: string
  text: string
  done: boolean
  dueOn?: string | null
}

/** A step in the short notation of the scenario file: an operation of a user, a change of a role, or SQL. */
interface Step {
  by?: string
  op?: Record<string, unknown>
  role?: [string, string]
  sql?: string
}

export interface Scenario {
  id: string
  title: string
  start: ScenarioItem[]
  steps: Step[]
  expect: {
    deleted: boolean
    title: string
    items: ScenarioItem[]
    openConflicts: number
    outcomes: string[]
    revisions?: number
  }
  eitherOrder: boolean
  anyOrderOf?: string[]
}

export const scenarios: Scenario[] = JSON.parse(
  readFileSync(join(import.meta.dirname, 'scenarios.json'), 'utf8')
).scenarios

/** Sends one operation of a user, over HTTP or a socket, and returns its result. */
export type Send = (user: User, checklistId: string, op: Operation) => Promise<Result>

export type Users = Record<string, User>

/** Creates three editors and an owner. */
export async function createUsers(app: FastifyInstance): Promise<Users> {
  const users: Users = {}
  for (const name of ['A', 'B', 'C', 'owner']) users[name] = await createUser(app, name)
  return users
}

/** Returns a function that maps each short name of the scenario file to one uuid. */
function naming() {
  const ids = new Map<string, string>()
  return (name: string): string => {
    const id = ids.get(name) ?? crypto.randomUUID()
    ids.set(name, id)
    return id
  }
}

/** Runs a scenario on a new checklist and returns the result in the format of the file. */
export async function play(
  app: FastifyInstance,
  users: Users,
  scenario: Scenario,
  { send, isReversed = false }: { send: Send; isReversed?: boolean }
) {
  const { sql } = app
  const id = naming()
  const list = id('list')
  const owner = users.owner as User
  const projectId = await insertProject(sql, owner.id)
  for (const name of ['A', 'B', 'C']) await setRole(name, 'editor')
  await sql`insert into checklists (id, project_id, title) values (${list}, ${projectId}, 'List')`
  for (const { itemId, text, done, dueOn = null } of scenario.start) {
    await sql`
      insert into checklist_items (id, checklist_id, text, done, due_on)
      values (${id(itemId)}, ${list}, ${text}, ${done}, ${dueOn})`
  }
  const startRev = await rev()

  const outcomes: string[] = []
  for (const step of isReversed ? reversed(scenario.steps) : scenario.steps) {
    if (step.role) await setRole(...step.role)
    else if (step.sql) await runSql(step.sql)
    else outcomes.push(await runOperation(step))
  }
  return { outcomes, ...(await state()) }

  async function runOperation({ by, op }: Step): Promise<string> {
    const { code, outcome, duplicate } = await send(
      users[by ?? ''] as User,
      list,
      await translated(op ?? {})
    )
    return `${outcome}${code ? `:${code}` : ''}${duplicate ? '*' : ''}`
  }

  async function translated(op: Record<string, unknown>): Promise<Operation> {
    const whole = structuredClone(op)
    for (const key of ['opId', 'itemId', 'after', 'newItemId']) {
      if (typeof whole[key] === 'string') whole[key] = id(whole[key])
    }
    for (const item of (whole.items ?? []) as ScenarioItem[]) item.itemId = id(item.itemId)
    for (const key of ['seenRev', 'rev']) if (typeof whole[key] === 'number') whole[key] += startRev
    if (whole.conflictId) whole.conflictId = await conflictId(String(whole.conflictId))
    return whole as unknown as Operation
  }

  /** Returns the id of conflict c1, c2 …, numbered in the order of opening. */
  async function conflictId(name: string): Promise<string> {
    const opened = await sql<{ id: string }[]>`
      select id from conflicts where checklist_id = ${list} order by opened_rev`
    return opened[Number(name.slice(1)) - 1]?.id ?? crypto.randomUUID()
  }

  async function setRole(name: string, role: string) {
    const userId = (users[name] as User).id
    if (role === 'none') {
      await sql`delete from project_members where project_id = ${projectId} and user_id = ${userId}`
    } else {
      await sql`
        insert into project_members (project_id, user_id, role)
        values (${projectId}, ${userId}, ${role})
        on conflict (project_id, user_id) do update set role = excluded.role`
    }
  }

  async function runSql(words: string) {
    const [, item, text] = /^update text of (\S+) to '(.*)'$/.exec(words) ?? []
    const [, ticked] = /^update done=true of (\S+)$/.exec(words) ?? []
    if (item && text) await sql`update checklist_items set text = ${text} where id = ${id(item)}`
    else if (ticked)
      await sql`update checklist_items set done = true where id in ${sql(ticked.split(',').map(id))}`
    else throw new Error(`unknown SQL in a scenario: ${words}`)
  }

  async function rev(): Promise<number> {
    const [row] = await sql<
      [{ rev: number }]
    >`select rev from checklist_revs where checklist_id = ${list}`
    return row.rev
  }

  async function state() {
    const names = new Map(
      [...scenario.start, ...scenario.expect.items].map(({ itemId }) => [id(itemId), itemId])
    )
    const [{ deleted, title }] = await sql<[{ deleted: boolean; title: string }]>`
      select deleted_at is not null as deleted, title from checklists where id = ${list}`
    const items = await sql<{ id: string; text: string; done: boolean }[]>`
      select id, text, done from checklist_items where checklist_id = ${list} order by position, id`
    const conflicts = await sql<{ count: number }[]>`
      select count(*) from conflicts where checklist_id = ${list} and resolved_at is null`
    return {
      list,
      deleted,
      title,
      items: items.map(item => ({
        itemId: names.get(item.id) ?? '?',
        text: item.text,
        done: item.done
      })),
      openConflicts: conflicts[0]?.count ?? -1,
      revisions: (await rev()) - startRev
    }
  }
}

/** Returns the operations of each user in their order, the users in reverse order. */
function reversed(steps: Step[]): Step[] {
  const names = [...new Set(steps.map(({ by }) => by))].toReversed()
  return names.flatMap(name => steps.filter(({ by }) => by === name))
}

/** Sorts the items whose order is free by id, within the places that they occupy. The other items keep their places. */
export function sortAnyOrder<T extends { itemId: string }>(
  items: T[],
  anyOrderOf: string[] = []
): T[] {
  const free = items
    .filter(({ itemId }) => anyOrderOf.includes(itemId))
    .toSorted((a, b) => (a.itemId < b.itemId ? -1 : 1))
  return items.map(item => (anyOrderOf.includes(item.itemId) ? (free.shift() as T) : item))
}
