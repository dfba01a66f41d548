import { randomUUID } from 'node:crypto'
import { type Demo, hasText } from './demo.ts'
import { type NewOperation, withOpId } from './operation.ts'

interface ItemText {
  itemId: string
  text: string
}

/** Creates a project with a checklist, and adds Bob to the project. Both users open the checklist on sockets. */
export async function createSharedChecklist({ ann, bob, step }: Demo) {
  const { id: projectId } = await step(
    'Ann creates the project "Summer fair"',
    () => ann.request('POST', '/projects', { name: 'Summer fair' }),
    { 'Ann, /events: project.created': ann.nextEvent('project.created') }
  )
  const { userId: bobId } = await step(
    'Ann adds Bob to the project as editor',
    () =>
      ann.request('POST', `/projects/${projectId}/members`, { email: bob.email, role: 'editor' }),
    { 'Bob, /events: member.added': bob.nextEvent('member.added') }
  )
  const { id: listId } = await step(
    'Ann creates the checklist "To do"',
    () => ann.request('POST', `/projects/${projectId}/checklists`, { title: 'To do' }),
    { 'Bob, /events: checklist.created': bob.nextEvent('checklist.created') }
  )
  await step('Both open the checklist on GET /live', () =>
    Promise.all([ann.openChecklist(listId), bob.openChecklist(listId)])
  )
  return { projectId, listId, bobId } as Record<'projectId' | 'listId' | 'bobId', string>
}

/** Adds an item and changes it over WebSocket, with SQL and over HTTP. */
export async function editItem({ ann, bob, sql, step }: Demo, listId: string): Promise<ItemText> {
  const itemId = randomUUID()
  const text = 'Order 12 chairs'
  await step(
    'Ann adds "Order chairs"',
    () => ann.push(listId, { kind: 'item.add', itemId, text: 'Order chairs', after: null }),
    {
      'Bob, /live: item.added': bob.nextChange('item.added'),
      'Bob, /events: item.added': bob.nextEvent('item.added')
    }
  )
  await step(
    `Bob changes the text to "${text}"`,
    () => bob.push(listId, setText(itemId, 'Order chairs', text)),
    { 'Ann, /live: item.updated': ann.nextChange('item.updated') }
  )
  await step(
    'psql runs: update checklist_items set done = true',
    () => sql`update checklist_items set done = true`,
    {
      'Ann, /live: item.updated, source sql': ann.nextChange('item.updated', isFromSql),
      'Bob, /live: item.updated, source sql': bob.nextChange('item.updated', isFromSql)
    }
  )
  const untick: NewOperation = {
    kind: 'item.set',
    itemId,
    set: { done: { from: true, to: false } }
  }
  await step(
    'Ann unticks the item with POST /checklists/:checklistId/ops',
    () => ann.request('POST', `/checklists/${listId}/ops`, { ops: [withOpId(untick)] }),
    { 'Bob, /live: item.updated, source http': bob.nextChange('item.updated') }
  )
  return { itemId, text }
}

/** Merges two edits that Ann and Bob made without a connection. Returns the merged text. */
export async function mergeEdits(
  { ann, bob, step, check }: Demo,
  listId: string,
  { itemId, text }: ItemText
): Promise<string> {
  const [annsText, bobsText] = ['Order 12 white chairs', `${text} by Friday`]
  const merged = 'Order 12 white chairs by Friday'
  await step('Both lose their connection and edit the same text', () => {
    ann.loseConnection()
    bob.loseConnection()
  })
  await step(
    `Ann reconnects and sends "${annsText}"`,
    async () => {
      await ann.openChecklist(listId)
      await ann.push(listId, setText(itemId, text, annsText))
    },
    { 'Ann, /live: item.updated': ann.nextChange('item.updated', hasText(annsText)) }
  )
  const { outcome } = await step(
    `Bob reconnects and sends "${bobsText}"`,
    async () => {
      await bob.openChecklist(listId)
      return bob.push(listId, setText(itemId, text, bobsText))
    },
    {
      [`Ann, /live: "${merged}"`]: ann.nextChange('item.updated', hasText(merged)),
      [`Bob, /live: "${merged}"`]: bob.nextChange('item.updated', hasText(merged))
    }
  )
  check('the text contains both edits, without a conflict', outcome === 'merged')
  return merged
}

/** Makes Bob's change conflict with Ann's, then resolves the conflict. */
export async function resolveConflict(
  { ann, bob, step, check }: Demo,
  listId: string,
  { itemId, text }: ItemText
) {
  const [fifteen, twenty] = [text.replace('12', '15'), text.replace('12', '20')]
  await step(
    `Ann changes the text to "${fifteen}"`,
    () => ann.push(listId, setText(itemId, text, fifteen)),
    { 'Bob, /live: item.updated': bob.nextChange('item.updated', hasText(fifteen)) }
  )
  const { outcome, conflictId = '' } = await step(
    `Bob changes the older text to "${twenty}"`,
    () => bob.push(listId, setText(itemId, text, twenty)),
    {
      'Ann, /live: conflict.opened, 15 is live, 20 is kept': ann.nextChange('conflict.opened'),
      'Bob, /live: conflict.opened, 15 is live, 20 is kept': bob.nextChange('conflict.opened')
    }
  )
  check("Bob's change is a conflict and overwrites nothing", outcome === 'conflict')
  await step(
    "Ann resolves the conflict with Bob's text",
    () =>
      ann.push(listId, { kind: 'conflict.resolve', conflictId, choice: 'theirs', seen: fifteen }),
    {
      'Bob, /live: conflict.resolved': bob.nextChange('conflict.resolved'),
      [`Bob, /live: "${twenty}"`]: bob.nextChange('item.updated', hasText(twenty))
    }
  )
}

function setText(itemId: string, from: string, to: string): NewOperation {
  return { kind: 'item.set', itemId, set: { text: { from, to } } }
}

function isFromSql({ source }: { source: string }): boolean {
  return source === 'sql'
}
