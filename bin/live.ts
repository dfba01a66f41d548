import { createInterface } from 'node:readline'
import { createClient } from '../client/index.ts'
import type { Change, Checklist, Client, Conflict, Item, Sent, View } from '../client/types.ts'

/*
 * Shows the first checklist of the user's first project in the terminal. Two users can edit the checklist at the same
 * time in two terminals, also while the service is stopped.
 *
 * npm run live -- <email> <password> [address = http://127.0.0.1:3000]
 */
const [email, password, address = `http://127.0.0.1:${process.env.PORT ?? 3000}`] =
  process.argv.slice(2)

try {
  await main()
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}

async function main() {
  if (!email || !password) throw new Error('npm run live -- <email> <password> [address]')
  await using client = createClient(address)
  await client.signIn({ email, password })
  const [project] = await client.projects.ready()
  if (!project) throw new Error('you are in no project yet')
  const { members, checklists } = client.project(project.id)
  const [first] = await checklists.ready()
  if (!first) throw new Error(`"${project.name}" has no checklist yet`)
  const names = new Map((await members.ready()).map(({ userId, name }) => [userId, name]))
  const list = client.checklist(first.id)
  const view = await list.ready()

  print(`${view.title}. Type "Milk" to add an item, "2 Oat milk" to change item 2, "2" to tick it,`)
  print('"undo", or "2 mine", "2 theirs" and "2 both" to resolve the conflict of item 2')
  for (const [n, item] of view.items.entries()) print(`${n + 1}. ${format(item)}`)
  list.on('change', ({ change }) => printChange(change, names))
  printConnection(client)
  await edit(list)
}

/** Makes a change for each line of the terminal, until the input ends and all changes are sent. */
async function edit(list: Checklist) {
  const unsubscribe = list.subscribe(() => {})
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      const sent = change(list, list.get() as View, line.trim())
      sent?.settled.then(({ outcome, value, code }) => {
        if (outcome !== 'applied') print([outcome, value, code].filter(Boolean).join(': '))
      })
    } catch (error) {
      print((error as Error).message)
    }
  }
  unsubscribe()
}

function change(list: Checklist, { items }: View, line: string): Sent | null | undefined {
  if (line === 'undo') return list.undo()
  const [, number, to] = /^(\d+) ?(.*)$/.exec(line) ?? []
  const item = items[Number(number) - 1]
  if (!line || (number && !item)) return
  if (!item) return list.add(line)
  const [conflict] = item.conflicts
  if (conflict && (to === 'mine' || to === 'theirs' || to === 'both'))
    return list.resolve(conflict.id, to === 'mine' ? 'ours' : to)
  return list.set(item.id, to ? { text: to } : { done: !item.done })
}

function printConnection(client: Client) {
  let printed = 'live'
  client.connection.subscribe(({ state, unsent }) => {
    if (state === printed) return
    printed = state
    print(`${state}${unsent > 0 ? `: ${unsent} changes are not sent yet` : ''}`)
  })
}

function printChange({ rev, kind, before, after, actorId }: Change, names: Map<string, string>) {
  const parts = [before, after].filter(part => part !== undefined).map(format)
  const name = actorId === null ? 'SQL' : (names.get(actorId) ?? 'unknown user')
  print(`rev ${rev}  ${name}  ${kind}  ${parts.join(' → ')}`)
}

function format(value: Partial<Item & Conflict> & { title?: string }): string {
  if (value.text !== undefined) return `[${value.done ? 'x' : ' '}] ${value.text}`
  if (value.field)
    return `${value.field}: "${value.ours}" is live, "${value.theirs}" is in conflict`
  return value.title ?? ''
}

function print(line: string) {
  process.stdout.write(`${line}\n`)
}
