import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { readConfig } from '../lib/config.ts'
import { parseCursor } from '../lib/cursor.ts'
import { canonicalEmail } from '../lib/email.ts'
import { findRunningUrl } from '../lib/embedded-postgres/server.ts'
import { entitlementOf } from '../lib/entitlement.ts'
import { createKeys, type Keys } from '../lib/keys.ts'
import { createOperatorToken } from '../lib/operator-token.ts'
import { connectionOptions } from '../lib/postgres/connection.ts'
import { startFailure } from '../lib/start-failure.ts'
import type { Connections, OpenSocket, OpenStream } from '../schemas/connections.ts'
import type { Sql } from '../sql/executor.ts'
import {
  type ExplainedEvent,
  findUserByName,
  type KnownSession,
  readFacts
} from '../sql/explain.ts'

/*
 * Explains why a user received an event, or did not.
 *
 * npm run explain -- <email or id of the user> <position or cursor> [--node http://address-of-a-node]...
 */
const USAGE =
  'npm run explain -- <email or id of the user> <position> [--node http://127.0.0.1:3000]'
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

const limits = { nodeMs: 15_000 }

type Facts = Awaited<ReturnType<typeof readFacts>>

process.stdout.on('error', () => {}) // `| head` closes the pipe early
try {
  const { values, positionals } = parseArgs({
    options: { node: { type: 'string', multiple: true, default: [] } },
    allowPositionals: true
  })
  const [name, place] = positionals
  if (!name || !place) throw new Error(USAGE)
  await explain(canonicalEmail(name), place, values.node)
} catch (error) {
  process.stderr.write(`${startFailure(error)}\n`)
  process.exitCode = 1
}

async function explain(name: string, place: string, nodes: string[]) {
  const config = readConfig()
  const url = config.databaseUrl ?? (await findRunningUrl(config.dataDir))
  if (!url) throw new Error(`no database runs in ${config.dataDir}: npm start starts one`)
  const options = connectionOptions({ application_name: 'concord explain' })
  const sql = postgres(url, { ...options, max: 1 }) as Sql
  try {
    const userId = await findUserId(sql, name)
    const { pos, epoch } = positionOf(place)
    const facts = await readFacts(sql, userId, pos)
    if (epoch !== undefined && epoch !== facts.epoch)
      throw new Error(
        `the cursor is of epoch ${epoch}, the database is in epoch ${facts.epoch}: it was restored or replaced, and ` +
          'what its positions meant before is not known'
      )
    printEvent(pos, facts)
    if (facts.event) printEntitlement(facts.event, userId, facts)
    printSessions(facts)
    for (const node of nodes) {
      await printConnections(node, createKeys(config), userId, facts).catch(error =>
        print(`Node      ${node}: not known: ${error.message}`)
      )
    }
    printUnknown(nodes)
  } finally {
    await sql.end()
  }
}

async function findUserId(sql: Sql, name: string): Promise<string> {
  const user = await findUserByName(sql, name)
  if (user) {
    print(`User      ${user.email}, ${user.id}`)
    return user.id
  }
  if (!UUID.test(name))
    throw new Error(`no user has the email ${name}: deleted accounts have an id only`)
  print(`User      ${name}: no such account now; it was deleted, or never existed`)
  return name
}

function positionOf(place: string): { pos: number; epoch?: string } {
  const cursor = /^\d+$/.test(place) ? { pos: Number(place) } : parseCursor(place)
  if (cursor && Number.isSafeInteger(cursor.pos)) return cursor
  throw new Error(`"${place}" is neither a position nor a cursor`)
}

function printEvent(pos: number, { event, epoch, committedHead, floor }: Facts) {
  print(`Log       epoch ${epoch}, positions ${floor + 1} to ${committedHead}`)
  if (event) {
    const { kind, at, projectId, projectName, checklistId, rev, source, actorId, actorEmail } =
      event
    const by = actorId ? `user ${actorEmail ?? actorId}` : 'no user of the service'
    print(`Event     ${pos}: ${kind}, ${at.toISOString()}, by ${by} (source ${source})`)
    if (projectId) print(`          project ${projectId} (${projectName ?? 'deleted'})`)
    if (checklistId) print(`          checklist ${checklistId}, revision ${rev}`)
  } else if (pos > committedHead) print(`Event     ${pos}: not committed yet`)
  else if (pos <= floor)
    print(
      `Event     ${pos}: not known. It is older than RETENTION_DAYS and was deleted, or never existed`
    )
  else
    print(`Event     ${pos}: no event. A rollback or a crash of the database skipped this position`)
}

function printEntitlement(event: ExplainedEvent, userId: string, facts: Facts) {
  const { live, reason, resumed, resumedReason } = entitlementOf(event, userId, facts)
  const word = live === undefined ? 'not known' : yesOrNo(live)
  print(`Entitled  open streams, at the commit: ${word}: ${reason}`)
  print(`          streams that resume now, before it: ${yesOrNo(resumed)}: ${resumedReason}`)
  if (event.checklistId)
    print('          sockets: as open streams, if they have the checklist open')
}

function printSessions({ sessions, event }: Facts) {
  if (sessions.length === 0) print('Sessions  none is stored')
  for (const [n, session] of sessions.entries()) {
    print(`${n === 0 ? 'Sessions ' : '         '} ${session.id}: ${describeSession(session)}`)
    if (event && session.createdAt && !wasActive(session, event.at))
      print('          not active at the time of the event')
  }
}

function describeSession({ createdAt, lastUsedAt, endedAt, reason, userAgent }: KnownSession) {
  const end = endedAt ? `ended ${endedAt.toISOString()} (${reason})` : 'active'
  if (!createdAt) return `${end}, no longer stored`
  const used = `last refreshed ${lastUsedAt?.toISOString()}`
  return [`since ${createdAt.toISOString()}`, used, end, userAgent].filter(Boolean).join(', ')
}

function wasActive({ createdAt, endedAt }: KnownSession, at: Date): boolean {
  return (!createdAt || createdAt <= at) && (!endedAt || endedAt > at)
}

async function printConnections(node: string, keys: Keys, userId: string, { event, epoch }: Facts) {
  const { processes, missing } = await fetchConnections(
    node,
    createOperatorToken(keys, userId),
    userId
  )
  for (const { pid, deliveredHead, streams, sockets, ...its } of processes) {
    const other = its.epoch === epoch ? '' : `, epoch ${its.epoch}: not this database`
    print(`Node      ${node}, process ${pid}, delivered up to ${deliveredHead}${other}`)
    if (streams.length + sockets.length === 0) print('          no connection of this user')
    for (const stream of streams) print(`          ${describeStream(stream, event)}`)
    for (const socket of sockets) {
      print(
        `          ${describeOpen('socket', socket)}, ${socket.checklists.length} checklists open`
      )
      for (const list of socket.checklists) print(`            ${describeList(list, event)}`)
    }
  }
  if (missing > 0)
    print(`          ${missing} workers did not respond: what they have is not known`)
}

async function fetchConnections(node: string, token: string, userId: string): Promise<Connections> {
  const url = new URL(`/operator/connections/${userId}`, node)
  const headers = { 'x-concord-operator': token }
  const signal = AbortSignal.timeout(limits.nodeMs)
  const response = await fetch(url, { headers, signal }).catch(error => {
    throw new Error(`it does not respond: ${error.cause?.message ?? error.message}`)
  })
  if (response.ok) return response.json() as Promise<Connections>
  throw new Error(
    `it returned ${response.status}: does it have this JWT_SECRET, and is its clock right within a minute?`
  )
}

function describeStream(stream: OpenStream, event?: ExplainedEvent): string {
  const { position, projects } = stream
  const filter = projects ? `, only projects ${projects.join(' ')}` : ''
  const sent = position === null ? 'nothing sent yet' : `sent up to position ${position}`
  const opening = `${describeOpen('stream', stream)}, ${sent}${filter}`
  if (!event || position === null) return opening
  if (projects && !projects.includes(event.projectId ?? '')) return `${opening}: excludes the event`
  return `${opening}: ${position >= event.pos ? 'beyond the event' : 'not at the event yet'}`
}

function describeList(list: OpenSocket['checklists'][number], event?: ExplainedEvent): string {
  const { checklistId, state, rev } = list
  const opening = `checklist ${checklistId}, ${state}, sent up to revision ${rev ?? 'none'}`
  if (checklistId !== event?.checklistId || rev === null) return opening
  return `${opening}: ${rev >= (event.rev ?? 0) ? 'beyond the event' : 'not at the event yet'}`
}

function describeOpen(
  kind: string,
  { sessionId, openedAt, state, bufferedBytes }: OpenStream | OpenSocket
) {
  const since = new Date(openedAt).toISOString()
  return `${kind} of session ${sessionId} since ${since}, ${state}, ${bufferedBytes} bytes unsent`
}

function printUnknown(nodes: string[]) {
  const others =
    nodes.length > 0
      ? 'the connections of nodes that were not named with --node'
      : 'all open connections: name the nodes with --node'
  print(`Not known ${others};`)
  print(
    '          connections that are closed now, and what they were sent; whether bytes that were sent reached'
  )
  print('          the program at the other end; memberships and sessions older than the log')
}

function yesOrNo(value: boolean): string {
  return value ? 'yes' : 'no'
}

function print(line: string) {
  process.stdout.write(`${line}\n`)
}
