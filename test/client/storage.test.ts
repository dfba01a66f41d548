import 'fake-indexeddb/auto'
import { randomUUID } from 'node:crypto'
import { IDBDatabase, IDBObjectStore, indexedDB } from 'fake-indexeddb'
import t, { type Test } from 'tap'
import { indexedDbStorage } from '../../client/indexed-db.ts'
import { memoryStorage } from '../../client/memory-storage.ts'
import type { Storage } from '../../client/storage.ts'
import type { ChecklistData, Operation } from '../../client/types.ts'

const ann = { id: randomUUID(), name: 'Ann' }
const bob = { id: randomUUID(), name: 'Bob' }
const listId = randomUUID()

function edit(to: string, from = ''): Operation {
  return { opId: randomUUID(), kind: 'item.set', itemId: listId, set: { text: { from, to } } }
}

function checklist(id: string = randomUUID()): ChecklistData {
  const { id: projectId } = ann
  return { id, projectId, title: id, rev: 1, epoch: 'e', role: 'owner', items: [], conflicts: [] }
}

const opsOf = (entries: { op: Operation }[]) => entries.map(({ op }) => op)

const kinds: [string, (name: string) => Storage][] = [
  ['memory', memoryStorage],
  ['IndexedDB', indexedDbStorage]
]

for (const [kind, create] of kinds) {
  const suite = (title: string, run: (t: Test, storage: Storage) => Promise<void>) =>
    t.test(`${kind}: ${title}`, t => run(t, create(randomUUID())))

  suite('the last user is kept until it is null', async (t, storage) => {
    t.equal(await storage.lastUser(), null)
    await storage.setLastUser(ann)
    t.strictSame(await storage.lastUser(), ann)
    await storage.setLastUser(null)
    t.equal(await storage.lastUser(), null)
  })

  suite('entries are returned in the order of their appends', async (t, storage) => {
    const store = await storage.open(ann.id)
    const ops = Array.from({ length: 20 }, (_, n) => edit(`${n}`))
    await Promise.all(ops.map(op => store.append(listId, op)))
    const again = await storage.open(ann.id)
    const entries = await again.entries()
    t.strictSame(opsOf(entries), ops)
    t.ok(entries.every(({ isSent, checklistId }) => !isSent && checklistId === listId))
    t.ok(entries.every(({ seq }, n) => n === 0 || seq > (entries[n - 1]?.seq ?? 0)))
  })

  suite('an unsent entry is replaced by the combined operation', async (t, storage) => {
    const store = await storage.open(ann.id)
    const [first, second, into] = [edit('a'), edit('b', 'a'), edit('b')]
    const added = await store.append(listId, first)
    t.ok('entry' in added)
    const { seq } = 'entry' in added ? added.entry : { seq: 0 }
    const combined = await store.append(listId, second, { seq, opId: first.opId, into })
    t.strictSame(combined, {
      entry: { seq, checklistId: listId, op: into, version: 1, isSent: false }
    })
    t.strictSame(opsOf(await store.entries()), [into])

    const removed = await store.append(listId, second, { seq, opId: into.opId, into: null })
    t.strictSame(removed, { removed: seq })
    t.strictSame(await store.entries(), [])
  })

  suite('a sent or changed entry is not combined', async (t, storage) => {
    const store = await storage.open(ann.id)
    const [first, second, third] = [edit('a'), edit('b', 'a'), edit('c', 'b')]
    await store.append(listId, first)
    await store.append(listId, second, { seq: 1, opId: randomUUID(), into: edit('b') })
    t.strictSame(opsOf(await store.entries()), [first, second])
    await store.markSent([1])
    await store.append(listId, third, { seq: 1, opId: first.opId, into: edit('c') })
    t.strictSame(opsOf(await store.entries()), [first, second, third])
  })

  suite('markSent returns what is stored, without unknown entries', async (t, storage) => {
    const store = await storage.open(ann.id)
    const ops = [edit('a'), edit('b')]
    for (const op of ops) await store.append(listId, op)
    await store.remove([1])
    const sent = await store.markSent([1, 2, 99])
    t.strictSame(sent, [{ seq: 2, checklistId: listId, op: ops[1], version: 0, isSent: true }])
    t.strictSame(await (await storage.open(ann.id)).entries(), sent)
  })

  suite('a number is not used again after its entry was removed', async (t, storage) => {
    const store = await storage.open(ann.id)
    await store.append(listId, edit('a'))
    await store.remove([1])
    const added = await (await storage.open(ann.id)).append(listId, edit('b'))
    t.match(added, { entry: { seq: 2 } })
  })

  suite('the last 50 checklists are kept', async (t, storage) => {
    const store = await storage.open(ann.id)
    const lists = Array.from({ length: 52 }, () => checklist())
    for (const list of lists.slice(0, 50)) await store.saveChecklist(list)
    await store.saveChecklist(lists[0] as ChecklistData)
    for (const list of lists.slice(50)) await store.saveChecklist(list)
    const kept = await Promise.all(lists.map(({ id }) => store.checklist(id)))
    t.strictSame(
      kept.map(list => list !== undefined),
      lists.map((_, n) => n !== 1 && n !== 2)
    )
    t.strictSame(kept[0], lists[0])
    await store.removeChecklist(listId)
    await store.removeChecklist(lists[51]?.id ?? '')
    t.equal(await store.checklist(lists[51]?.id ?? ''), undefined)
  })

  suite('users have stores of their own', async (t, storage) => {
    const [ofAnn, ofBob] = [await storage.open(ann.id), await storage.open(bob.id)]
    await ofAnn.append(listId, edit('a'))
    await ofAnn.saveChecklist(checklist(listId))
    t.strictSame(await ofBob.entries(), [])
    t.equal(await ofBob.checklist(listId), undefined)
  })

  suite('projects are stored for their user, besides 50 checklists', async (t, storage) => {
    const store = await storage.open(ann.id)
    t.equal(await store.projects(), undefined)
    const project = { id: randomUUID(), name: 'Fair', role: 'owner', createdAt: '' } as const
    await store.saveProjects([])
    await store.saveProjects([project])
    const lists = Array.from({ length: 51 }, () => checklist())
    for (const list of lists) await store.saveChecklist(list)
    t.strictSame(await store.projects(), [project])
    const kept = await Promise.all(lists.map(({ id }) => store.checklist(id)))
    t.equal(kept.filter(Boolean).length, 50)
    t.equal(await (await storage.open(bob.id)).projects(), undefined)
    await storage.delete(ann.id)
    await t.rejects(store.saveProjects([project]))
    t.equal(await (await storage.open(ann.id)).projects(), undefined)
  })

  suite('a deleted store is empty, and closed for all tabs', async (t, storage) => {
    const [store, kept] = [await storage.open(ann.id), await storage.open(bob.id)]
    await store.append(listId, edit('a'))
    await kept.append(listId, edit('b'))
    await storage.deleteOthers(bob.id)
    await t.rejects(store.entries())
    await t.rejects(store.append(listId, edit('c')))
    t.strictSame(await (await storage.open(ann.id)).entries(), [])
    t.equal((await kept.entries()).length, 1)
    await storage.delete(bob.id)
    await t.rejects(kept.entries())
    t.strictSame(await (await storage.open(bob.id)).entries(), [])
  })

  suite('a closed store rejects every call', async (t, storage) => {
    const store = await storage.open(ann.id)
    store.close()
    await t.rejects(store.entries())
    await t.rejects(store.append(listId, edit('a')))
    await t.rejects(store.saveChecklist(checklist()))
  })

  suite('a page closed in mid-write leaves whole entries', async (t, storage) => {
    const ops = [edit('a'), edit('b'), edit('c')]
    for (const op of ops) {
      const store = await storage.open(ann.id)
      store.append(listId, op).catch(() => {})
      store.close()
    }
    const entries = await (await storage.open(ann.id)).entries()
    t.strictSame(
      opsOf(entries),
      ops.filter(({ opId }) => opsOf(entries).some(op => op.opId === opId))
    )
  })
}

t.test('two stores combine one entry only once', async t => {
  const name = randomUUID()
  const [one, two] = await Promise.all(
    [name, name].map(name => indexedDbStorage(name).open(ann.id))
  )
  const [first, second, third] = [edit('a'), edit('b', 'a'), edit('c', 'a')]
  await one?.append(listId, first)
  const combine = (op: Operation) => ({
    seq: 1,
    opId: first.opId,
    into: { ...edit('x'), opId: op.opId }
  })
  await Promise.all([
    one?.append(listId, second, combine(second)),
    two?.append(listId, third, combine(third))
  ])
  const entries = await two?.entries()
  t.equal(entries?.length, 2)
  t.same(
    entries?.map(({ op }) => op.opId),
    [second.opId, third.opId]
  )
})

t.test('an aborted transaction changes nothing', async t => {
  const store = await indexedDbStorage(randomUUID()).open(ann.id)
  const first = edit('a')
  await store.append(listId, first)
  const restore = replace(
    IDBObjectStore.prototype,
    'put',
    function (this: InstanceType<typeof IDBObjectStore>) {
      this.transaction.abort()
      throw new DOMException('killed', 'AbortError')
    }
  )
  await t.rejects(
    store.append(listId, edit('b', 'a'), { seq: 1, opId: first.opId, into: edit('b') })
  )
  await t.rejects(store.markSent([1]))
  restore()
  t.match(await store.entries(), [{ op: first, isSent: false }])
})

t.test('a full disk rejects the append, and stays usable', async t => {
  const store = await indexedDbStorage(randomUUID()).open(ann.id)
  let tries = 0
  const restore = replace(IDBObjectStore.prototype, 'add', () => {
    tries++
    throw new DOMException('full', 'QuotaExceededError')
  })
  await t.rejects(store.append(listId, edit('a')), { name: 'QuotaExceededError' })
  t.equal(tries, 1)
  restore()
  await store.append(listId, edit('b'))
  t.equal((await store.entries()).length, 1)
})

t.test('a connection that the browser has closed is opened again', async t => {
  const store = await indexedDbStorage(randomUUID()).open(ann.id)
  await store.append(listId, edit('a'))
  const { transaction } = IDBDatabase.prototype
  let failures = 0
  const restore = replace(
    IDBDatabase.prototype,
    'transaction',
    function (this: InstanceType<typeof IDBDatabase>, ...rest: Parameters<typeof transaction>) {
      if (failures++ === 0)
        throw new DOMException('The database connection is closing', 'InvalidStateError')
      return transaction.apply(this, rest)
    }
  )
  await store.append(listId, edit('b'))
  restore()
  t.equal((await store.entries()).length, 2)
})

t.test('a browser without IndexedDB rejects every call', async t => {
  const restore = replace(indexedDB, 'open', () => {
    throw new DOMException('refused', 'SecurityError')
  })
  const storage = indexedDbStorage(randomUUID())
  await t.rejects(storage.lastUser(), { name: 'SecurityError' })
  await t.rejects(storage.open(ann.id), { name: 'SecurityError' })
  restore()
  t.equal(await storage.lastUser(), null)
})

/** Replaces a method until the returned function is called. */
function replace<T extends object, Key extends keyof T>(target: T, key: Key, method: T[Key]) {
  const original = target[key]
  target[key] = method
  return () => {
    target[key] = original
  }
}
