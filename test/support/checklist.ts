import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { Operation, Result } from '../../schemas/operation.ts'
import { readChecklist } from '../../sql/checklists.ts'

/** An operation without its id, which the desk makes unless it is given. */
export type Wish = Operation extends infer Op
  ? Op extends Operation
    ? Omit<Op, 'opId'> & { opId?: string }
    : never
  : never

/** A checklist of some people of a fresh project, made with SQL, and the quickest way to work on it. */
export async function desk(app: FastifyInstance, people = ['owner', 'editor', 'viewer']) {
  const { sql } = app
  const listId = randomUUID()
  const [project] = await sql<
    [{ id: string }]
  >`insert into projects (name) values ('P') returning id`
  const users = await Promise.all(
    people.map(async role => {
      const [user] = await sql<[{ id: string }]>`
        insert into users (email, name) values (${`${randomUUID()}@example.com`}, ${role}) returning id`
      await sql`
        insert into project_members (project_id, user_id, role)
        values (${project.id}, ${user.id}, ${role})`
      return user.id
    })
  )
  await sql`insert into checklists (id, project_id, title) values (${listId}, ${project.id}, 'List')`
  const ownerId = users[0] as string

  return { listId, projectId: project.id, users, ownerId, submit, act, add, read, texts }

  /** Sends operations of one person in one go, on this list or another. */
  async function submit(
    actorId: string,
    wishes: Wish[],
    { node = app, list = listId } = {}
  ): Promise<Result[]> {
    const ops = wishes.map(wish => ({ opId: randomUUID(), ...wish }) as Operation)
    const job = {
      sessionId: randomUUID(),
      actorId,
      checklistId: list,
      source: 'http' as const,
      ops
    }
    return (await node.operations.submit(job)).results
  }

  /** One operation; the owner's unless somebody else is named. */
  async function act(wish: Wish, actorId = ownerId): Promise<Result> {
    const [result] = await submit(actorId, [wish])
    return result as Result
  }

  /** Adds items with these texts at the end, in one go, and answers their ids. */
  async function add(...texts: string[]): Promise<string[]> {
    const items = texts.map(text => ({ itemId: randomUUID(), text }))
    const { items: there } = await read()
    await act({ kind: 'item.add', items, after: there.at(-1)?.id ?? null })
    return items.map(({ itemId }) => itemId)
  }

  function read() {
    return readChecklist(sql, ownerId, listId)
  }

  async function texts(): Promise<string[]> {
    return (await read()).items.map(({ text }) => text)
  }
}
