import { randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import WebSocket from 'ws'
import type { Change } from '../schemas/change.ts'
import type { Conflict } from '../schemas/conflict.ts'
import type { Item } from '../schemas/item.ts'
import type { Result } from '../schemas/operation.ts'

/*
 * Shows the first checklist of the user's first project in the terminal. Two users can edit the checklist at the same
 * time in two terminals.
 *
 * npm run live -- <email> <password> [address = http://127.0.0.1:3000]
 */
const [email, password, address = `http://127.0.0.1:${process.env.PORT ?? 3000}`] =
  process.argv.slice(2)

/** The fields that this command reads, of all responses. */
interface ResponseBody {
  accessToken: string
  projects: { id: string; name: string }[]
  members: { userId: string; name: string }[]
  checklists: { id: string }[]
}

const headers: Record<string, string> = {}
const items = new Map<string, Item>()
const names = new Map<string | null, string>([[null, 'SQL']])

try {
  await main()
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}

async function main() {
  if (!email || !password) throw new Error('npm run live -- <email> <password> [address]')
  const { accessToken } = await request('/auth/signin', { email, password })
  headers.authorization = `Bearer ${accessToken}`
  const { projects } = await request('/projects')
  if (!projects[0]) throw new Error('you are in no project yet')
  const { members } = await request(`/projects/${projects[0].id}/members`)
  for (const { userId, name } of members) names.set(userId, name)
  const { checklists } = await request(`/projects/${projects[0].id}/checklists`)
  if (!checklists[0]) throw new Error(`"${projects[0].name}" has no checklist yet`)
  openSocket(checklists[0].id)
}

function openSocket(checklistId: string) {
  const socket = new WebSocket(`${address.replace('http', 'ws')}/live`, { headers })
  const lines = createInterface({ input: process.stdin })
  const send = (message: object) => socket.send(JSON.stringify({ checklistId, ...message }))

  socket.on('open', () => send({ type: 'open' }))
  socket.on('message', bytes => {
    const message = JSON.parse(String(bytes))
    if (message.type === 'snapshot') printList(message.checklist)
    if (message.type === 'changes') for (const change of message.changes) printChange(change)
    if (message.type === 'ack') for (const result of message.results) printResult(result)
    if (message.type === 'revoked') print(`access to this checklist has changed: ${message.reason}`)
    if (message.type === 'error') print(message.message)
  })
  socket.on('error', error => print(error.message))
  socket.on('close', code => {
    print(`connection closed with code ${code}`)
    lines.close()
  })
  lines.on('line', line => {
    const op = toOperation(line.trim())
    if (op) send({ type: 'push', ops: [{ opId: randomUUID(), ...op }] })
  })
  lines.on('close', () => socket.close(1000))
}

/**
 * Returns the operation for an input line. "Milk" adds an item, "2 Oat milk" changes the text of item 2, "2" toggles
 * the tick of item 2.
 */
function toOperation(line: string): object | undefined {
  const sorted = sortedItems()
  const [, number, to] = /^(\d+) ?(.*)$/.exec(line) ?? []
  const item = sorted[Number(number) - 1]
  if (!line || (number && !item)) return
  if (!item)
    return { kind: 'item.add', itemId: randomUUID(), text: line, after: sorted.at(-1)?.id ?? null }
  const { id: itemId, text: from, done } = item
  const set = to ? { text: { from, to } } : { done: { from: done, to: !done } }
  return { kind: 'item.set', itemId, set }
}

function printList(checklist: { title: string; items: Item[] }) {
  for (const item of checklist.items) items.set(item.id, item)
  print(
    `${checklist.title}. Type "Milk" to add an item, "2 Oat milk" to change item 2, "2" to tick it`
  )
  for (const [n, item] of sortedItems().entries()) print(`${n + 1}. ${format(item)}`)
}

function printChange(change: Change) {
  const { rev, kind, before, after, actorId } = change
  if (change.kind === 'item.deleted') items.delete(change.itemId)
  else if (change.kind === 'item.added' || change.kind === 'item.updated')
    items.set(change.itemId, change.after)
  const parts = [before, after].filter(part => part !== undefined).map(format)
  print(`rev ${rev}  ${names.get(actorId) ?? 'unknown user'}  ${kind}  ${parts.join(' → ')}`)
}

function printResult({ outcome, value, code }: Result) {
  if (outcome !== 'applied') print([outcome, value, code].filter(Boolean).join(': '))
}

function format(value: Partial<Item & Conflict> & { title?: string }): string {
  if (value.text !== undefined) return `[${value.done ? 'x' : ' '}] ${value.text}`
  if (value.field)
    return `${value.field}: "${value.ours}" is live, "${value.theirs}" is in conflict`
  return value.title ?? ''
}

function sortedItems(): Item[] {
  return [...items.values()].sort((a, b) => a.position - b.position || (a.id < b.id ? -1 : 1))
}

async function request(path: string, body?: object): Promise<ResponseBody> {
  const response = await fetch(`${address}${path}`, {
    headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { method: 'POST', body: JSON.stringify(body) })
  })
  const content = (await response.json()) as ResponseBody & { message: string }
  if (!response.ok) throw new Error(content.message)
  return content
}

function print(line: string) {
  process.stdout.write(`${line}\n`)
}
