import { randomUUID } from 'node:crypto'
import type { BenchUser } from '../../support/client.ts'
import type { Attack } from '../attacks.ts'
import { type AttackItem, type Op, type Tools, withId } from '../tools.ts'

const sizes = { conflicts: 20, text: 2000, list: 1000, adds: 200 }

export const operationAttacks: Record<string, Attack> = {
  'huge from': {
    description:
      '`from` and `seen` of 240,000 characters against a list of 100 conflicts, and tiny edits',
    async prepare(tools) {
      const { ann, list } = await createConflicts(tools, 5)
      const sockets = Array.from({ length: 4 }, () => tools.createSocket(ann.headers))
      const huge = 'x'.repeat(240_000)
      return () =>
        tools.atRate(40, n => {
          const item = list.items[n % list.items.length] as AttackItem
          const { itemId, text } = item
          const ops = [
            { kind: 'item.set', itemId, set: { text: { from: huge, to: `Huge ${n}` } } },
            { kind: 'item.delete', itemId, seen: { text: huge, done: false, dueOn: null } },
            { kind: 'item.set', itemId, set: { text: { from: text, to: `Tiny ${n}` } } }
          ]
          if (n % 3 === 2) item.text = `Tiny ${n}`
          const op = withId(ops[n % 3] as Op)
          sockets[n % 4]?.send({ type: 'push', checklistId: list.id, ops: [op] })
        })
    }
  },

  '20 conflicts': {
    description:
      'the short text of items with 20 conflicts of 16 KB each, edited by 4 accounts 20 times a second each',
    async prepare(tools) {
      const targets = await Promise.all(Array.from({ length: 4 }, () => createConflicts(tools, 1)))
      const sockets = targets.map(({ ann }) => tools.createSocket(ann.headers))
      return () =>
        tools.atRate(80, n => {
          const { list } = targets[n % 4] as (typeof targets)[0]
          const [item] = list.items as [AttackItem]
          const to = `Tiny ${n}`
          const set = { text: { from: item.text, to } }
          item.text = to
          const ops = [withId({ kind: 'item.set', itemId: item.itemId, set })]
          sockets[n % 4]?.send({ type: 'push', checklistId: list.id, ops })
        })
    }
  },

  restoreTo: {
    description: '560 list.restoreTo over 6 sessions of one account on 2 lists of 1,000 items',
    async prepare(tools) {
      const ann = await tools.registerUser()
      const lists = await Promise.all(
        [0, 1].map(async () =>
          tools.createList(await tools.registerUser(), [ann], items(sizes.list))
        )
      )
      const sockets = await openSessions(tools, ann, 6)
      return () => {
        for (let n = 0; n < 560; n++) {
          // The list has no items at revision 1, and a thousand items at the revision after their additions.
          const rev = n % 4 < 2 ? 1 : sizes.list + 1
          const op = { kind: 'list.restoreTo', rev, seenRev: Number.MAX_SAFE_INTEGER }
          sockets[n % 6]?.send({ type: 'push', checklistId: lists[n % 2]?.id, ops: [withId(op)] })
        }
      }
    }
  },

  'hostile merges': {
    description:
      'merges of 2,000 characters of repeated and of alternating words, by 3 accounts with 2 sessions each',
    async prepare(tools) {
      const users = await Promise.all(
        [0, 1, 2].map(async () => {
          const ann = await tools.registerUser()
          const live = items(100).map((item, n) => ({ ...item, text: edited(n, 1) }))
          const list = await tools.createList(ann, [], live)
          return { list, sessions: [ann.headers, await ann.signIn()] }
        })
      )
      return () =>
        tools.atRate(100, n => {
          const { list, sessions } = users[n % 3] as (typeof users)[0]
          const at = Math.floor(n / 3) % list.items.length
          const text = { from: repeatedWords(at), to: edited(at, 2 + n) }
          const op = withId({ kind: 'item.set', itemId: list.items[at]?.itemId, set: { text } })
          const headers = sessions[n % 2]
          return tools.request('POST', `/checklists/${list.id}/ops`, {
            headers,
            body: { ops: [op] }
          })
        })
    }
  },

  'two spellings': {
    description: 'one opId in lower and in upper case in one push, over 4 sessions',
    async prepare(tools) {
      const ann = await tools.registerUser()
      const list = await tools.createList(ann, [], items(10))
      const sockets = await openSessions(tools, ann, 4)
      return () =>
        tools.atRate(80, n => {
          const opId = randomUUID()
          const op = { kind: 'item.add', text: 'Milk', after: null }
          const ops = [opId, opId.toUpperCase()].map(id => ({
            ...op,
            opId: id,
            itemId: randomUUID()
          }))
          sockets[n % 4]?.send({ type: 'push', checklistId: list.id, ops })
        })
    }
  },

  'adds and deletes': {
    description:
      '200 items added in one operation, then deleted by 200, over 4 sessions of one account',
    async prepare(tools) {
      const ann = await tools.registerUser()
      const list = await tools.createList(ann, [], [])
      const sockets = await openSessions(tools, ann, 4)
      let added: AttackItem[] = []
      return () =>
        tools.atRate(125, n => {
          const socket = sockets[Math.floor(n / 3) % 4]
          if (n % 3 === 0) added = items(sizes.adds)
          const seen = ({ text }: AttackItem) => ({ text, done: false, dueOn: null })
          const half = added.slice((n % 3) * 100 - 100, (n % 3) * 100)
          const deletes = half.map(item => ({
            kind: 'item.delete',
            itemId: item.itemId,
            seen: seen(item)
          }))
          const ops = n % 3 === 0 ? [{ kind: 'item.add', items: added, after: null }] : deletes
          socket?.send({ type: 'push', checklistId: list.id, ops: ops.map(withId) })
        })
    }
  }
}

/** Opens a socket in each of `count` sessions of a user. */
async function openSessions(tools: Tools, user: BenchUser, count: number) {
  const signIns = Array.from({ length: count - 1 }, () => user.signIn())
  const all = [user.headers, ...(await Promise.all(signIns))]
  return all.map(headers => tools.createSocket(headers))
}

/**
 * Creates items with 20 conflicts each, of texts of maximum length, and a second member. The owner's operations create
 * the conflicts, so that they do not use up the rate limit of the second member.
 */
async function createConflicts(tools: Tools, count: number) {
  const [owner, ann] = [await tools.registerUser(), await tools.registerUser()]
  const list = await tools.createList(owner, [ann], items(count))
  const ops = list.items.flatMap(({ itemId }) =>
    Array.from({ length: sizes.conflicts }, (_, n) => {
      const text = { from: longText(`seen ${n}`), to: longText(`wanted ${n}`) }
      return { kind: 'item.set', itemId, set: { text } }
    })
  )
  for (let n = 0; n < ops.length; n += 10)
    await tools.push(owner.headers, list.id, ops.slice(n, n + 10))
  return { ann, list }
}

function items(count: number): AttackItem[] {
  return Array.from({ length: count }, (_, n) => ({ itemId: randomUUID(), text: `Item ${n}` }))
}

/** Returns a text of 2,000 characters of 4 bytes each. */
function longText(start: string): string {
  return `${start} `.padEnd(sizes.text * 2 - start.length - 1, '🦊')
}

/** Returns 1,000 words of one letter each: one word repeated, or two words in turn. */
function repeatedWords(seed: number): string {
  return (seed % 2 === 0 ? 'a ' : 'a b ').repeat(sizes.text / (seed % 2 === 0 ? 2 : 4)).trim()
}

/** Returns the words of `repeatedWords` with about 48 of them replaced, the most that mergeText merges. */
function edited(seed: number, by: number): string {
  return repeatedWords(seed)
    .split(' ')
    .map((word, n) => ((n + by) % 21 === 0 ? String.fromCharCode(99 + (by % 20)) : word))
    .join(' ')
}
