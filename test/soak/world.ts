import postgres from 'postgres'
import { connectionOptions } from '../../lib/postgres/connection.ts'
import type { Sql } from '../../sql/executor.ts'
import type { Random } from '../support/random.ts'

export interface Person {
  id: string
  email: string
  /** of a Bearer request */
  headers: { authorization: string }
  cookie: string
}

/** People, projects and lists, made through a node as anybody would. */
export interface World {
  sql: Sql
  random: Random
  addresses: string[]
  /** members of one to three projects all the time */
  members: { person: Person; projectIds: string[] }[]
  /** added and removed again and again */
  guests: Person[]
  /** each with a checklist or two that are there all the time */
  projects: { id: string; owner: Person; listIds: string[] }[]
  /** Nobody writes or cuts connections of their own accord, so that the last can be told. */
  isCalm: boolean
}

const size = { members: 8, guests: 3, projects: 3, lists: 2 }

export async function createWorld(
  url: string,
  addresses: string[],
  random: Random
): Promise<World> {
  const sql: Sql = postgres(url, { ...connectionOptions(), max: 12 })
  const [address = ''] = addresses
  const owner = await signUp(address, 0)
  const projects = []
  for (let n = 0; n < size.projects; n++) {
    const id = await created(address, '/projects', owner, { name: `Project ${n}` })
    const listIds = []
    for (let m = 0; m < size.lists; m++) {
      listIds.push(
        await created(address, `/projects/${id}/checklists`, owner, { title: `List ${m}` })
      )
    }
    projects.push({ id, owner, listIds })
  }
  const members = [{ person: owner, projectIds: projects.map(({ id }) => id) }]
  for (let n = 1; n <= size.members; n++) {
    const person = await signUp(address, n)
    const mine = random.shuffled(projects).slice(0, 1 + random.upTo(size.projects))
    for (const { id } of mine) {
      await created(address, `/projects/${id}/members`, owner, {
        email: person.email,
        role: 'editor'
      })
    }
    members.push({ person, projectIds: mine.map(({ id }) => id) })
  }
  const guests = []
  for (let n = 1; n <= size.guests; n++) guests.push(await signUp(address, 100 + n))
  return { sql, random, addresses, members, guests, projects, isCalm: true }
}

async function signUp(address: string, n: number): Promise<Person> {
  const account = { email: `person${n}@example.com`, password: 'correct horse battery' }
  const id = await created(address, '/auth/signup', undefined, { ...account, name: `Person ${n}` })
  const reply = await post(address, '/auth/signin', undefined, account)
  const { accessToken } = (await reply.json()) as { accessToken: string }
  const [cookie = ''] = String(reply.headers.get('set-cookie')).split(';')
  return { id, email: account.email, cookie, headers: { authorization: `Bearer ${accessToken}` } }
}

async function created(address: string, path: string, by: Person | undefined, body: object) {
  const reply = await post(address, path, by, body)
  if (!reply.ok) throw new Error(`${path}: ${reply.status} ${await reply.text()}`)
  return ((await reply.json()) as { id: string }).id
}

export function post(address: string, path: string, by: Person | undefined, body: object) {
  return send('POST', address, path, by, body)
}

export function send(method: string, address: string, path: string, by?: Person, body?: object) {
  return fetch(address + path, {
    method,
    headers: { ...by?.headers, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(20_000)
  })
}
