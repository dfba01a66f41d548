import type { FastifyInstance } from 'fastify'
import type { Sql } from '../../sql/executor.ts'
import { createUser, type SendRequest } from './users.ts'

interface Sender {
  request: SendRequest
}

/** Creates a project of a user through the route and returns its id. */
export async function createProject(owner: Sender, name = 'Fair'): Promise<string> {
  return (await owner.request('POST', '/projects', { name })).json().id
}

/** Adds a user to a project through the route. */
export function addMember(
  owner: Sender,
  projectId: string,
  { email }: { email: string },
  role = 'editor'
) {
  return owner.request('POST', `/projects/${projectId}/members`, { email, role })
}

/** Creates a checklist of a project through the route and returns its id. */
export async function createChecklist(
  member: Sender,
  projectId: string,
  title = 'To buy'
): Promise<string> {
  return (await member.request('POST', `/projects/${projectId}/checklists`, { title })).json().id
}

/**
 * Creates a project with one member of each role, and a user who is no member of it. `another` creates one more
 * project with the same users.
 */
export async function createTeam(app: FastifyInstance) {
  const owner = await createUser(app, 'Olga')
  const editor = await createUser(app, 'Ed')
  const viewer = await createUser(app, 'Vera')
  const outsider = await createUser(app, 'Otto')

  async function another() {
    const projectId = await createProject(owner)
    await addMember(owner, projectId, editor, 'editor')
    await addMember(owner, projectId, viewer, 'viewer')
    return { owner, editor, viewer, outsider, projectId, url: `/projects/${projectId}` }
  }

  return { ...(await another()), another }
}

/** Inserts a project with SQL, the users with these ids as its owners, and returns its id. */
export async function insertProject(sql: Sql, ...ownerIds: string[]): Promise<string> {
  const [project] = await sql<[{ id: string }]>`
    insert into projects (name)
    values ('Fair')
    returning id`
  for (const id of ownerIds) await insertMember(sql, project.id, id, 'owner')
  return project.id
}

/** Adds a user to a project with SQL. */
export async function insertMember(sql: Sql, projectId: string, userId: string, role = 'editor') {
  await sql`
    insert into project_members (project_id, user_id, role)
    values (${projectId}, ${userId}, ${role})`
}
