import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { Operation, Result } from '../../schemas/operation.ts'
import { type ChecklistAt, readChecklists } from '../../sql/checklists.ts'
import type { Sql } from '../../sql/executor.ts'
import { insertMember, insertProject } from './projects.ts'
import { insertUser } from './users.ts'

/** An operation whose `opId` may be missing: `submit` generates it. */
export type NewOperation = Operation extends infer Op
  ? Op extends Operation
    ? Omit<Op, 'opId'> & { opId?: string }
    : never
  : never

/**
 * Inserts with SQL a project with one member for each of `roles`, the owner first, and a checklist in it. Returns their
 * ids and functions that read the checklist and submit operations on it.
 */
export async function insertChecklist(app: FastifyInstance, roles = ['owner', 'editor', 'viewer']) {
  const { sql } = app
  const listId = randomUUID()
  const projectId = await insertProject(sql)
  const users = await Promise.all(
    roles.map(async role => {
      const userId = await insertUser(sql, role)
      await insertMember(sql, projectId, userId, role)
      return userId
    })
  )
  await sql`insert into checklists (id, project_id, title) values (${listId}, ${projectId}, 'List')`
  const ownerId = users[0] as string

  return { listId, projectId, users, ownerId, submit, apply, addItems, read, texts }

  /** Submits operations of one user in one push, on this checklist or another, at this node or another. */
  async function submit(
    actorId: string,
    operations: NewOperation[],
    { node = app, list = listId } = {}
  ): Promise<Result[]> {
    const job = {
      sessionId: randomUUID(),
      actorId,
      checklistId: list,
      source: 'http' as const,
      ops: operations.map(operation => ({ opId: randomUUID(), ...operation }) as Operation)
    }
    return (await node.operations.submit(job)).results
  }

  /** Submits one operation, of the owner unless `actorId` is given. */
  async function apply(operation: NewOperation, actorId = ownerId): Promise<Result> {
    const [result] = await submit(actorId, [operation])
    return result as Result
  }

  /** Adds items with these texts at the end, in one operation, and returns their ids. */
  async function addItems(...texts: string[]): Promise<string[]> {
    const items = texts.map(text => ({ itemId: randomUUID(), text }))
    const { items: existing } = await read()
    await apply({ kind: 'item.add', items, after: existing.at(-1)?.id ?? null })
    return items.map(({ itemId }) => itemId)
  }

  function read() {
    return readChecklist(sql, ownerId, listId)
  }

  async function texts(): Promise<string[]> {
    return (await read()).items.map(({ text }) => text)
  }
}

/** Returns a checklist as one user sees it. */
export async function readChecklist(
  sql: Sql,
  userId: string,
  listId: string
): Promise<ChecklistAt> {
  const [found] = await readChecklists(sql, [userId], listId)
  if (!found || found instanceof Error) throw found
  return found
}
