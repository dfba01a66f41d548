import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { build, listen } from '../support/app.ts'
import { addMember, createChecklist, createProject } from '../support/projects.ts'
import type { Feed, SseEvent } from '../support/sse-client.ts'
import { createUser } from '../support/users.ts'

/** Starts a node with two users: Ann, who has a project with a checklist, and Bob, who has no project. */
export async function setUpEvents(t: Test, env: NodeJS.ProcessEnv = {}) {
  const app = await build(t, env)
  const url = await listen(app)
  const [ann, bob] = [await createUser(app, 'Ann'), await createUser(app, 'Bob')]
  const projectId = await createProject(ann)
  const listId = await createChecklist(ann, projectId)
  const addBob = (role = 'editor') => addMember(ann, projectId, bob, role)
  const removeBob = () => ann.request('DELETE', `/projects/${projectId}/members/${bob.id}`)
  return { app, url, ann, bob, projectId, listId, addBob, removeBob }
}

export const addItem = ({ sql }: FastifyInstance, listId: string, text: string) => sql`
  insert into checklist_items (checklist_id, text)
  values (${listId}, ${text})`

export const textOf = ({ data }: SseEvent) => (data.after as { text?: string } | undefined)?.text

/** Returns the texts of the next added items. */
export async function nextTexts(feed: Feed, count: number) {
  const found = []
  while (found.length < count) found.push(textOf(await feed.next('item.added')))
  return found
}
