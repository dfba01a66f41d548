import postgres from 'postgres'
import { connectionOptions } from '../../lib/postgres/connection.ts'
import type { Sql } from '../../sql/executor.ts'
import type { Random } from '../support/random.ts'

export interface Account {
  id: string
  email: string
  /** headers of a request with the access token */
  headers: { authorization: string }
  cookie: string
}

/** Users, projects and checklists, created through the routes of a node. */
export interface Fixtures {
  sql: Sql
  random: Random
  addresses: string[]
  /** users who stay members of one to three projects */
  members: { account: Account; projectIds: string[] }[]
  /** users who are added and removed repeatedly */
  temporaryMembers: Account[]
  /** each with two checklists that are never deleted */
  projects: { id: string; owner: Account; listIds: string[] }[]
  /** whether writers pause and followers stay connected, so that every event can be delivered */
  isQuiet: boolean
}

const size = { members: 8, temporaryMembers: 3, projects: 3, lists: 2 }

export async function createFixtures(
  url: string,
  addresses: string[],
  random: Random
): Promise<Fixtures> {
  const sql: Sql = postgres(url, { ...connectionOptions(), max: 12 })
  const [address = ''] = addresses
  const owner = await signUp(address, 0)
  const projects = []
  for (let n = 0; n < size.projects; n++) {
    const id = await create(address, '/projects', owner, { name: `Project ${n}` })
    const listIds = []
    for (let m = 0; m < size.lists; m++) {
      listIds.push(
        await create(address, `/projects/${id}/checklists`, owner, { title: `List ${m}` })
      )
    }
    projects.push({ id, owner, listIds })
  }
  const members = [{ account: owner, projectIds: projects.map(({ id }) => id) }]
  for (let n = 1; n <= size.members; n++) {
    const account = await signUp(address, n)
    const mine = random.shuffled(projects).slice(0, 1 + random.upTo(size.projects))
    for (const { id } of mine) {
      await create(address, `/projects/${id}/members`, owner, {
        email: account.email,
        role: 'editor'
      })
    }
    members.push({ account, projectIds: mine.map(({ id }) => id) })
  }
  const temporaryMembers = []
  for (let n = 1; n <= size.temporaryMembers; n++)
    temporaryMembers.push(await signUp(address, 100 + n))
  return { sql, random, addresses, members, temporaryMembers, projects, isQuiet: true }
}

async function signUp(address: string, n: number): Promise<Account> {
  const account = { email: `user${n}@example.com`, password: 'correct horse battery' }
  const id = await create(address, '/auth/signup', undefined, { ...account, name: `User ${n}` })
  const reply = await post(address, '/auth/signin', undefined, account)
  const { accessToken } = (await reply.json()) as { accessToken: string }
  const [cookie = ''] = String(reply.headers.get('set-cookie')).split(';')
  return { id, email: account.email, cookie, headers: { authorization: `Bearer ${accessToken}` } }
}

async function create(address: string, path: string, by: Account | undefined, body: object) {
  const reply = await post(address, path, by, body)
  if (!reply.ok) throw new Error(`${path}: ${reply.status} ${await reply.text()}`)
  return ((await reply.json()) as { id: string }).id
}

export function post(address: string, path: string, by: Account | undefined, body: object) {
  return send('POST', address, path, by, body)
}

export function send(method: string, address: string, path: string, by?: Account, body?: object) {
  return fetch(address + path, {
    method,
    headers: { ...by?.headers, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(20_000)
  })
}
