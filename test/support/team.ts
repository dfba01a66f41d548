import type { FastifyInstance, InjectOptions } from 'fastify'
import { person } from './app.ts'

type Person = Awaited<ReturnType<typeof person>>
export type Caller = ReturnType<typeof caller>

/** Sends requests of one person: `await ann('POST', '/projects', { name })`. */
export function caller(app: FastifyInstance, { headers }: Pick<Person, 'headers'>) {
  return (method: InjectOptions['method'], url: string, payload?: object) =>
    app.inject({ method, url, headers, payload })
}

/** Somebody new who can be called. */
export async function newcomer(app: FastifyInstance, name?: string) {
  const { id, email, ...rest } = await person(app, name)
  return { id, email, ask: caller(app, rest) }
}

/** Makes a project and a checklist in it through the routes, and returns their ids. */
export async function listOf(ask: Caller) {
  const { id: projectId } = (await ask('POST', '/projects', { name: 'Fair' })).json()
  const made = await ask('POST', `/projects/${projectId}/checklists`, { title: 'To buy' })
  return { projectId: projectId as string, listId: made.json().id as string }
}

/** A project with somebody of each role, and somebody who is not in it; `another` has the same people. */
export async function team(app: FastifyInstance) {
  const owner = await newcomer(app, 'Olga')
  const editor = await newcomer(app, 'Ed')
  const viewer = await newcomer(app, 'Vera')
  const stranger = await newcomer(app, 'Stan')

  async function another() {
    const { id: projectId } = (await owner.ask('POST', '/projects', { name: 'Fair' })).json()
    const url = `/projects/${projectId}`
    await owner.ask('POST', `${url}/members`, { email: editor.email, role: 'editor' })
    await owner.ask('POST', `${url}/members`, { email: viewer.email, role: 'viewer' })
    return { owner, editor, viewer, stranger, projectId, url }
  }

  return { ...(await another()), another }
}

/** Text that breaks what is careless, and is a fine name all the same. */
export const hostile = [
  "Robert'); drop table projects; --",
  '<script>alert(1)</script>',
  '{{7*7}} #{7*7} %s %00 \\u0000 \\',
  'null',
  '__proto__',
  '../../etc/passwd',
  'ﷺ 𝒳 👩‍👩‍👧‍👦 עברית \u202e',
  '😀'.repeat(200)
]

/** What is no name or title. */
export const noNames = [
  undefined,
  null,
  '',
  ' ',
  '\t\n\u3000 ',
  'a\nb',
  'a\u0000b',
  'a\u007fb',
  'a\u0085b',
  '\ud800',
  'x'.repeat(201),
  '😀'.repeat(201),
  7,
  true,
  ['a'],
  {}
]
