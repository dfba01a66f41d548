import { ConcordError, createClient } from '../../client/index.ts'

// This program is only compiled. Each line below @ts-expect-error must be an error.

const client = createClient('http://127.0.0.1:3000')

client.on('item.updated', event => {
  const texts: string[] = [event.before.text, event.after.text]
  const moment: string = event.at
  return [texts, moment, event.checklistId]
})
client.on('item.added', event => {
  // @ts-expect-error: a new item has no state before the change
  return event.before
})
client.on('item.deleted', event => {
  // @ts-expect-error: a deleted item has no state after the change
  return event.after
})
client.on('checklist.updated', event => {
  // @ts-expect-error: a checklist has no text
  return [event.after.title, event.after.text]
})
client.on('conflict.opened', event => event.after.theirs)
client.on('member.added', event => {
  const name: string = event.project.name
  const role: 'owner' | 'editor' | 'viewer' = event.role
  return [name, role]
})
client.on('member.removed', event => {
  // @ts-expect-error: the name is missing when the project was deleted
  const name: string = event.project.name
  return name
})
client.on('session.ended', event => {
  // @ts-expect-error: no session ends for this reason
  return event.reason === 'bored'
})
// @ts-expect-error: there is no such event
client.on('item.moved', () => {})

client.checklist('…').on('change', ({ change }) => {
  const state = change.after ?? change.before
  switch (change.kind) {
    case 'item.updated':
      return `${change.itemId}: ${change.before.text} → ${change.after.text}`
    case 'checklist.deleted':
      return change.before.title
    case 'conflict.resolved':
      // @ts-expect-error: a resolved conflict is gone
      return change.after.theirs
    default:
      return state.id
  }
})

for await (const event of client.events()) {
  if (event.type === 'project.updated') console.log(event.before.name, event.cursor)
}

try {
  await client.signIn({ email: 'ann@example.com', password: 'hat and coat' })
} catch (error) {
  if (!(error instanceof ConcordError)) throw error
  const { code, retryAfterMs } = error
  if (code === 'TOO_OFTEN') await new Promise(run => setTimeout(run, retryAfterMs ?? 1000))
  // @ts-expect-error: a code is a string
  if (code === 429) console.log(code)
}

const { parts } = await client.checklist('…').set('…', { text: 'Milk' }).settled
// @ts-expect-error: the parts of a merged text have authors, and this is none of them
console.log(parts?.some(({ by }) => by === 'me'))
