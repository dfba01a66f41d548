import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { memoryStorage } from '../../client/memory-storage.ts'
import type { Entry } from '../../client/storage.ts'
import type { Bus } from '../../client/tabs.ts'
import type { Operation, Result } from '../../client/types.ts'
import {
  ann,
  bob,
  brokenStorage,
  edit,
  fakeService,
  manualClock,
  refusal,
  settle,
  startTab,
  type
} from './outbox-setup.ts'
import { tabBuses } from './session-setup.ts'

const listId = randomUUID()
const idsOf = (ops: readonly Operation[]) => ops.map(({ opId }) => opId)
const applied = (opId: string): Result => ({ opId, outcome: 'applied' })

t.test('an operation is shown at once, stored, marked, sent and removed', async t => {
  const { storage, calls } = brokenStorage()
  const tab = startTab({ storage })
  await settle()
  calls.length = 0
  tab.service.gate = async () => void calls.push('push')
  const op = edit('a')
  const sent = tab.outbox.add(listId, op)
  t.match(tab.outbox.entries(listId), [{ op, isSent: false }])
  t.equal(tab.outbox.unsent.get(), 1)
  t.strictSame(await sent.settled, applied(op.opId))
  t.strictSame(tab.outbox.entries(listId), [])
  t.equal(tab.outbox.unsent.get(), 0)
  await settle()
  t.strictSame(calls, ['append', 'markSent', 'push', 'remove'])
  t.strictSame(await (await storage.open(ann.id)).entries(), [])
})

t.test('a reload keeps ids and order of all checklists', async t => {
  const storage = memoryStorage()
  const before = startTab({ storage, isOnline: false })
  const ops = Array.from({ length: 250 }, (_, n) => edit(`${n}`))
  for (const op of ops) before.outbox.add(listId, op)
  const other = edit('other')
  before.outbox.add(randomUUID(), other)
  await settle()
  before.outbox.close()

  const after = startTab({ storage, isOnline: false })
  await settle()
  t.strictSame(after.opsOf(listId), ops)
  t.equal(after.outbox.unsent.get(), 251)
  after.lead()
  await settle()
  t.strictSame(
    after.service.applied.filter(opId => opId !== other.opId),
    idsOf(ops)
  )
  t.strictSame(
    after.service.pushes.map(ops => ops.length).sort((a, b) => b - a),
    [100, 100, 50, 1]
  )
})

t.test('a kill after the push sends the same operation again', async t => {
  const storage = memoryStorage()
  const service = fakeService()
  const before = startTab({ storage, service })
  service.gate = () => new Promise(() => {})
  const op = edit('a')
  before.outbox.add(listId, op)
  await settle()
  before.outbox.close()
  service.gate = async () => {}

  const after = startTab({ storage, service, isOnline: false })
  await settle()
  t.match(after.outbox.entries(listId), [{ op, isSent: true }])
  after.lead()
  await settle()
  t.strictSame(service.pushes, [[op], [op]])
  t.strictSame(service.applied, [op.opId])
})

t.test('a checklist has one push in flight, a device has four', async t => {
  const tab = startTab()
  const { service, outbox } = tab
  let open = () => {}
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  service.gate = () => opened
  const lists = Array.from({ length: 6 }, () => randomUUID())
  for (const id of lists) outbox.add(id, edit('a'))
  await settle()
  for (const id of lists) outbox.add(id, edit('b'))
  await settle()
  t.equal(service.running, 4)
  open()
  await settle()
  t.equal(service.mostRunning, 4)
  t.equal(service.applied.length, 12)
})

t.test('typed edits that were never sent are one operation', async t => {
  const storage = memoryStorage()
  const tab = startTab({ storage, isOnline: false })
  await settle()
  const sent = []
  let text = ''
  for (const letter of 'Oat milk') {
    sent.push(type(tab.outbox, listId, edit(text + letter, text)))
    text += letter
    if (letter === ' ') await settle()
  }
  await settle()
  t.match(tab.opsOf(listId), [{ set: { text: { from: '', to: 'Oat milk' } } }])
  t.strictSame(await (await storage.open(ann.id)).entries(), tab.outbox.entries(listId))
  tab.lead()
  const results = await Promise.all(sent.map(({ settled }) => settled))
  const last = sent.at(-1)?.opId ?? ''
  t.ok(results.every(result => result.opId === last))
  t.strictSame(tab.service.applied, [last])
})

t.test('an edit is not combined with an operation that was sent', async t => {
  const tab = startTab()
  let open = () => {}
  tab.service.gate = () => new Promise<void>(resolve => (open = resolve))
  const first = edit('a')
  type(tab.outbox, listId, first)
  await settle()
  const second = edit('b', 'a')
  type(tab.outbox, listId, second)
  await settle()
  t.match(tab.outbox.entries(listId), [
    { op: first, isSent: true },
    { op: second, isSent: false }
  ])
  open()
  await settle()
  open()
  await settle()
  t.strictSame(tab.service.pushes, [[first], [second]])
})

t.test('an edit loses the race for a combination to another tab', async t => {
  const storage = memoryStorage()
  const service = fakeService()
  const [one, two] = tabBuses(2) as [Bus, Bus]
  const leader = startTab({ storage, service, bus: one, isOnline: false })
  const follower = startTab({ storage, service, bus: two, isLeader: false })
  await settle()
  const first = edit('a')
  leader.outbox.add(listId, first)
  await settle()
  leader.lead()
  const second = edit('b', 'a')
  const sent = type(follower.outbox, listId, second)
  t.equal((await sent.settled).opId, second.opId)
  await settle()
  const ops = service.pushes.flat()
  t.equal(new Set(idsOf(ops)).size, ops.length)
  t.same(ops.at(-1)?.opId, second.opId)
  t.strictSame([leader.opsOf(listId), follower.opsOf(listId)], [[], []])
})

t.test('edits that follow a lost combination are stored as they were made', async t => {
  const storage = memoryStorage()
  const [one, two] = tabBuses(2) as [Bus, Bus]
  const leader = startTab({ storage, bus: one, isOnline: false })
  const follower = startTab({ storage, bus: two, isLeader: false })
  await settle()
  leader.outbox.add(listId, edit('a'))
  await settle()
  const other = edit('b', 'a')
  const [second, third] = [edit('a 2', 'a'), edit('a 2 3', 'a 2')]
  type(leader.outbox, listId, other)
  type(follower.outbox, listId, second)
  type(follower.outbox, listId, third)
  await settle()
  const found = [{ opId: other.opId, set: { text: { from: '', to: 'b' } } }, second, third]
  for (const { opsOf } of [leader, follower]) t.match(opsOf(listId), found)
})

t.test('an addition that is deleted before it was sent disappears', async t => {
  const tab = startTab({ isOnline: false })
  for (const isStored of [false, true]) {
    const added = tab.outbox.add(listId, edit('a'))
    if (isStored) await settle()
    const [entry] = tab.outbox.entries(listId)
    const removed = tab.outbox.add(listId, edit('', 'a'), entry && { entry, into: null })
    t.strictSame(tab.outbox.entries(listId), [])
    t.match(await Promise.all([added.settled, removed.settled]), [
      { opId: added.opId, outcome: 'noop' },
      { opId: removed.opId, outcome: 'noop' }
    ])
  }
  tab.lead()
  await settle()
  t.strictSame(tab.service.pushes, [])
  t.strictSame(await (await tab.storage.open(ann.id)).entries(), [])
})

t.test('a refused push waits as long as the service says', async t => {
  const clock = manualClock()
  const tab = startTab({ clock })
  let refusals = 2
  tab.service.refuse = () => (refusals-- > 0 ? refusal('TOO_OFTEN', 429, 3000) : undefined)
  const op = edit('a')
  tab.outbox.add(listId, op)
  await settle()
  for (const pushes of [1, 2]) {
    await clock.advance(2999)
    t.equal(tab.service.pushes.length, pushes)
    await clock.advance(1)
    t.equal(tab.service.pushes.length, pushes + 1)
  }
  t.strictSame(tab.service.applied, [op.opId])
})

t.test('a push without response is sent again after the reconnect', async t => {
  const clock = manualClock()
  const tab = startTab({ clock })
  tab.service.refuse = () => refusal('NETWORK')
  const op = edit('a')
  tab.outbox.add(listId, op)
  await settle()
  tab.link.canPush.set(false)
  await clock.advance(60_000)
  t.equal(tab.service.pushes.length, 1)
  tab.service.refuse = () => undefined
  tab.link.canPush.set(true)
  await settle()
  t.strictSame(tab.service.pushes, [[op], [op]])
  t.equal(tab.outbox.unsent.get(), 0)
})

t.test('a malformed operation is rejected, all others are applied in order', async t => {
  const tab = startTab({ isOnline: false })
  const ops = Array.from({ length: 8 }, (_, n) => edit(`${n}`))
  const [bad] = ops.splice(5, 1, edit('bad')) && [ops[5] as Operation]
  tab.service.refuse = ops => (ops.includes(bad as Operation) ? refusal('BAD_MESSAGE') : undefined)
  tab.respond = async () => {
    throw refusal('FST_ERR_VALIDATION', 400)
  }
  const sent = ops.map(op => tab.outbox.add(listId, op))
  await settle()
  tab.lead()
  const results = await Promise.all(sent.map(({ settled }) => settled))
  await settle()
  t.strictSame(
    results.map(({ outcome }) => outcome),
    ops.map(op => (op === bad ? 'rejected' : 'applied'))
  )
  t.match(results[5], { code: 'invalid' })
  t.strictSame(tab.service.applied, idsOf(ops.filter(op => op !== bad)))
  t.equal(tab.requests.length, 1)
  t.equal(tab.outbox.unsent.get(), 0)
})

t.test('an error about another message deletes no operation', async t => {
  const tab = startTab()
  tab.service.refuse = () => refusal('BAD_MESSAGE')
  tab.respond = async (_method, _path, body) => ({
    results: (body as { ops: Operation[] }).ops.map(({ opId }) => applied(opId))
  })
  const sent = tab.outbox.add(listId, edit('a'))
  t.strictSame(await sent.settled, applied(sent.opId))
})

t.test('operations of a removed member wait, and are tried again later', async t => {
  const clock = manualClock()
  const tab = startTab({ clock, isOnline: false })
  const ops = [edit('a'), edit('b')]
  for (const op of ops) tab.outbox.add(listId, op)
  tab.service.decide = ({ opId }) => ({ opId, outcome: 'rejected', code: 'forbidden' })
  tab.lead()
  await settle()
  t.equal(tab.service.pushes.length, 1)
  t.strictSame(tab.opsOf(listId), ops)
  t.strictSame(tab.results, [])

  tab.service.decide = ({ opId }) => applied(opId)
  await clock.advance(29_999)
  t.equal(tab.service.pushes.length, 1)
  await clock.advance(1)
  t.strictSame(tab.service.applied, idsOf(ops))
})

t.test('other tabs count what waits for a right, also those opened later', async t => {
  const [buses, service, storage] = [tabBuses(3), fakeService(), memoryStorage()]
  const parts = { service, storage, clock: manualClock() }
  const start = (n: number) => startTab({ ...parts, bus: buses[n], isLeader: n === 0 })
  const [leader, other] = [start(0), start(1)]
  await settle()
  service.refuse = () => refusal('CHECKLIST_NOT_FOUND')
  other.outbox.add(listId, edit('a'))
  await settle()
  const late = start(2)
  await settle()
  const tabs = [leader, other, late].map(({ outbox }) => outbox)
  t.strictSame(
    tabs.map(({ held, unsent }) => [held.get(), unsent.get()]),
    Array(3).fill([1, 1])
  )
  service.refuse = () => undefined
  await parts.clock.advance(30_000)
  await settle()
  t.strictSame(
    tabs.map(({ held, unsent }) => [held.get(), unsent.get()]),
    Array(3).fill([0, 0])
  )
})

t.test('a paused checklist is sent at once when a tab resumes it', async t => {
  const [one, two] = tabBuses(2) as [Bus, Bus]
  const storage = memoryStorage()
  const leader = startTab({ storage, bus: one })
  const follower = startTab({ storage, bus: two, isLeader: false })
  leader.service.decide = ({ opId }) => ({ opId, outcome: 'rejected', code: 'forbidden' })
  const op = edit('a')
  const sent = follower.outbox.add(listId, op)
  await settle()
  t.strictSame(leader.opsOf(listId), [op])
  leader.service.decide = ({ opId }) => applied(opId)
  follower.outbox.resume(listId)
  t.strictSame(await sent.settled, applied(op.opId))
  t.equal(leader.service.pushes.length, 2)
})

t.test('a deleted checklist accepts its restoration, then the other operations', async t => {
  const tab = startTab({ isOnline: false })
  const op = edit('a')
  tab.outbox.add(listId, op)
  let isDeleted = true
  tab.service.decide = ({ opId, kind }) => {
    if (kind === 'list.restore') isDeleted = false
    return isDeleted ? { opId, outcome: 'rejected', code: 'list_deleted' } : applied(opId)
  }
  tab.lead()
  await settle()
  t.strictSame(tab.opsOf(listId), [op])
  const restore: Operation = { opId: randomUUID(), kind: 'list.restore' }
  tab.outbox.add(listId, restore)
  await settle()
  t.strictSame(tab.service.applied, [restore.opId, op.opId])
  t.strictSame(tab.opsOf(listId), [])
})

t.test('not_found is final for a member, and pauses the list of others', async t => {
  for (const isMember of [true, false]) {
    const tab = startTab()
    tab.service.decide = ({ opId }) => ({ opId, outcome: 'rejected', code: 'not_found' })
    tab.respond = async () => {
      if (!isMember) throw refusal('CHECKLIST_NOT_FOUND', 404)
      return { items: [] }
    }
    const op: Operation = { opId: randomUUID(), kind: 'item.restore', itemId: ann.id }
    tab.outbox.add(listId, op)
    await settle()
    t.strictSame(tab.opsOf(listId), isMember ? [] : [op])
    t.equal(tab.results.length, isMember ? 1 : 0)
  }
})

t.test('while it is unknown whether the user is a member, not_found deletes nothing', async t => {
  const clock = manualClock()
  const tab = startTab({ clock })
  tab.service.decide = ({ opId }) => ({ opId, outcome: 'rejected', code: 'not_found' })
  tab.respond = async () => {
    throw refusal('NETWORK')
  }
  const op: Operation = { opId: randomUUID(), kind: 'item.restore', itemId: ann.id }
  tab.outbox.add(listId, op)
  await settle()
  t.strictSame(tab.opsOf(listId), [op])
  tab.respond = async () => ({ items: [] })
  await clock.advance(2_000)
  t.strictSame(tab.opsOf(listId), [])
})

t.test('a rejected operation leaves the queue and does not block it', async t => {
  const tab = startTab({ isOnline: false })
  const ops = [edit('a'), edit('b'), edit('c')]
  tab.service.decide = ({ opId }) =>
    opId === ops[1]?.opId ? { opId, outcome: 'rejected', code: 'stale' } : applied(opId)
  const sent = ops.map(op => tab.outbox.add(listId, op))
  tab.lead()
  t.match(await Promise.all(sent.map(({ settled }) => settled)), [
    { outcome: 'applied' },
    { outcome: 'rejected', code: 'stale' },
    { outcome: 'applied' }
  ])
})

t.test('a result is reported before its entry leaves', async t => {
  const tab = startTab()
  const op = edit('a')
  const seen: unknown[] = []
  tab.outbox.onResult(() => seen.push(tab.opsOf(listId)))
  tab.outbox.onChange(() => seen.push(tab.opsOf(listId).length))
  await tab.outbox.add(listId, op).settled
  t.strictSame(seen.slice(-2), [[op], 0])
})

t.test('an error in a subscriber does not stop the queue', async t => {
  const tab = startTab()
  tab.outbox.onChange(() => {
    throw new Error('a bug of the page')
  })
  const op = edit('a')
  t.strictSame(await tab.outbox.add(listId, op).settled, applied(op.opId))
  t.match(tab.logs[0], { level: 'warn', message: 'a subscriber failed' })
})

// Storage

t.test('without storage, operations are sent from memory and said to be unstored', async t => {
  const { storage, broken } = brokenStorage()
  const clock = manualClock()
  broken.before = () => {
    throw new DOMException('full', 'QuotaExceededError')
  }
  const tab = startTab({ storage, clock, isOnline: false })
  const ops = [edit('a'), edit('b')]
  for (const op of ops) tab.outbox.add(listId, op)
  await settle()
  t.equal(tab.outbox.isStored.get(), false)
  t.strictSame(tab.opsOf(listId), ops)
  tab.lead()
  await settle()
  t.strictSame(tab.service.applied, idsOf(ops))
  t.equal(tab.outbox.unsent.get(), 0)
  t.equal(tab.logs.filter(({ level }) => level === 'warn').length, 1)
})

t.test('what was made without storage is stored when it works again', async t => {
  const { storage, broken } = brokenStorage()
  const clock = manualClock()
  const tab = startTab({ storage, clock, isOnline: false })
  const first = edit('a')
  type(tab.outbox, listId, first)
  await settle()
  broken.before = () => {
    throw new Error('gone')
  }
  const ops = [edit('b', 'a'), edit('c', 'b'), edit('d', 'c')]
  for (const op of ops) {
    type(tab.outbox, listId, op)
    await settle()
  }
  t.equal(tab.outbox.isStored.get(), false)
  broken.before = undefined
  await clock.advance(30_000)
  t.equal(tab.outbox.isStored.get(), true)
  const stored = await (await storage.open(ann.id)).entries()
  t.strictSame(stored, tab.outbox.entries(listId))
  t.equal(stored[0]?.op, first)
  t.match(stored.at(-1), { op: { opId: ops[2]?.opId, set: { text: { to: 'd' } } } })
})

t.test('a transaction that never ends counts as failed', async t => {
  const { storage, broken } = brokenStorage()
  const clock = manualClock()
  const tab = startTab({ storage, clock })
  await settle()
  broken.before = () => new Promise(() => {})
  const op = edit('a')
  tab.outbox.add(listId, op)
  await clock.advance(10_000)
  await clock.advance(2_499)
  t.equal(tab.service.pushes.length, 0)
  await clock.advance(1)
  t.equal(tab.outbox.isStored.get(), false)
  t.strictSame(tab.service.applied, [op.opId])
})

t.test('a store that fails while marking does not stop the queue', async t => {
  const { storage, broken } = brokenStorage()
  const tab = startTab({ storage })
  await settle()
  broken.before = method => {
    if (method === 'markSent' || method === 'remove') throw new Error('gone')
  }
  const ops = [edit('a'), edit('b')]
  for (const op of ops) await tab.outbox.add(listId, op).settled
  t.strictSame(tab.service.applied, idsOf(ops))
  broken.before = undefined
  const after = startTab({ storage, service: tab.service })
  await settle()
  t.equal(after.outbox.unsent.get(), 0)
  t.strictSame(tab.service.applied, idsOf(ops))
})

t.test('the leader stores and sends for a tab that cannot store', async t => {
  const memory = memoryStorage()
  const { storage, broken } = brokenStorage(memory)
  const service = fakeService()
  const [one, two] = tabBuses(2) as [Bus, Bus]
  const leader = startTab({ storage: memory, service, bus: one, isOnline: false })
  const follower = startTab({ storage, service, bus: two, isLeader: false })
  await settle()
  broken.before = () => {
    throw new Error('gone')
  }
  const ops = [edit('a'), edit('b')]
  const sent = ops.map(op => follower.outbox.add(listId, op))
  await settle()
  t.strictSame(leader.opsOf(listId), ops)
  t.equal((await (await memory.open(ann.id)).entries()).length, 2)
  leader.lead()
  await Promise.all(sent.map(({ settled }) => settled))
  t.strictSame(service.applied, idsOf(ops))
})

// Tabs

t.test('tabs show the same entries, and settle with the result of the leader', async t => {
  const storage = memoryStorage()
  const service = fakeService()
  const [one, two, three] = tabBuses(3) as [Bus, Bus, Bus]
  const leader = startTab({ storage, service, bus: one, isOnline: false })
  const followers = [two, three].map(bus => startTab({ storage, service, bus, isLeader: false }))
  await settle()
  const tabs = [leader, ...followers]
  const sent = tabs.map(({ outbox }, n) => outbox.add(listId, edit(`${n}`)))
  await settle()
  for (const tab of tabs) {
    t.strictSame(tab.outbox.entries(listId), leader.outbox.entries(listId))
    t.equal(tab.outbox.unsent.get(), 3)
  }
  leader.lead()
  const results = await Promise.all(sent.map(({ settled }) => settled))
  t.ok(results.every(({ outcome }) => outcome === 'applied'))
  await settle()
  for (const tab of tabs) {
    t.equal(tab.outbox.unsent.get(), 0)
    t.equal(tab.results.length, 3)
  }
})

t.test('two leaders at once apply every operation once, in order', async t => {
  const storage = memoryStorage()
  const service = fakeService()
  const buses = tabBuses(2)
  const tabs = buses.map(bus => startTab({ storage, service, bus, isOnline: false }))
  await settle()
  const ops = Array.from({ length: 40 }, (_, n) => edit(`${n}`))
  const sent = ops.map((op, n) =>
    (tabs[Math.floor(n / 20)] as (typeof tabs)[0]).outbox.add(listId, op)
  )
  await settle()
  for (const tab of tabs) tab.lead()
  await Promise.all(sent.map(({ settled }) => settled))
  await settle()
  t.strictSame([...service.applied].sort(), idsOf(ops).sort())
  for (const half of [ops.slice(0, 20), ops.slice(20)])
    t.strictSame(
      service.applied.filter(opId => idsOf(half).includes(opId)),
      idsOf(half)
    )
  for (const tab of tabs) t.equal(tab.outbox.unsent.get(), 0)
  t.strictSame(await (await storage.open(ann.id)).entries(), [])
})

t.test('a tab that slept through results finds out when it is shown', async t => {
  const storage = memoryStorage()
  const service = fakeService()
  const leader = startTab({ storage, service, isOnline: false })
  const frozen = startTab({ storage, service, isLeader: false })
  await settle()
  const sent = frozen.outbox.add(listId, edit('a'))
  await settle()
  leader.show()
  await settle()
  leader.outbox.add(listId, edit('b'))
  leader.lead()
  await settle()
  t.equal(service.applied.length, 2)
  t.equal(frozen.outbox.unsent.get(), 1)
  frozen.show()
  await settle()
  t.equal(frozen.outbox.unsent.get(), 0)
  t.strictSame(await sent.settled, { opId: sent.opId, outcome: 'noop' })
})

t.test('the leader sends an operation that it knows in an older form', async t => {
  const storage = memoryStorage()
  const [one] = tabBuses(2) as [Bus, Bus]
  const leader = startTab({ storage, bus: one, isOnline: false })
  const first = edit('a')
  leader.outbox.add(listId, first)
  await settle()
  const store = await storage.open(ann.id)
  const [{ seq }] = (await store.entries()) as [Entry]
  // Another tab is frozen before it sends a message about this combination.
  const into = edit('ab')
  await store.append(listId, into, { seq, opId: first.opId, into })
  leader.service.gate = () => new Promise(() => {})
  leader.lead()
  await settle()
  t.strictSame(leader.service.pushes, [[into]])
  t.strictSame(leader.opsOf(listId), [into])
})

t.test('a new leader sends what the old one left behind', async t => {
  const storage = memoryStorage()
  const service = fakeService()
  const [one, two] = tabBuses(2) as [Bus, Bus]
  const old = startTab({ storage, service, bus: one })
  const next = startTab({ storage, service, bus: two, isLeader: false })
  await settle()
  service.gate = () => new Promise(() => {})
  const sent = next.outbox.add(listId, edit('a'))
  await settle()
  old.outbox.close()
  service.gate = async () => {}
  next.lead()
  t.equal((await sent.settled).outcome, 'applied')
  t.strictSame(service.applied, [sent.opId])
})

t.test('the leader finds an entry of a closed tab when another tab opens', async t => {
  const storage = memoryStorage()
  const service = fakeService()
  const [one, two] = tabBuses(2) as [Bus, Bus]
  const leader = startTab({ storage, service, bus: one })
  await settle()
  const store = await storage.open(ann.id)
  const op = edit('a')
  await store.append(listId, op)
  const follower = startTab({ storage, service, bus: two, isLeader: false })
  await settle()
  t.strictSame(service.applied, [op.opId])
  for (const { outbox } of [leader, follower]) t.equal(outbox.unsent.get(), 0)
})

// Users

t.test('another user sees no operation of the first one', async t => {
  const storage = memoryStorage()
  const tab = startTab({ storage, isOnline: false })
  const sent = tab.outbox.add(listId, edit('a'))
  await settle()
  tab.session.set({ state: 'signed-in', user: bob })
  t.strictSame(tab.outbox.entries(listId), [])
  t.equal(tab.outbox.unsent.get(), 0)
  t.match(await sent.settled, { outcome: 'dropped' })
  await settle()
  tab.lead()
  await settle()
  t.strictSame(tab.service.pushes, [])
})

t.test('an expired session keeps the queue, a sign-out does not', async t => {
  const tab = startTab({ isOnline: false })
  const op = edit('a')
  tab.outbox.add(listId, op)
  tab.session.set({ state: 'signed-out', reason: 'expired' })
  t.strictSame(tab.opsOf(listId), [op])
  tab.session.set({ state: 'signed-in', user: ann })
  t.strictSame(tab.opsOf(listId), [op])
  tab.session.set({ state: 'signed-out', reason: 'signed_out' })
  t.strictSame(tab.opsOf(listId), [])
  t.throws(() => tab.outbox.add(listId, op), { code: 'SIGNED_OUT' })
})

t.test('a result for a user who has left is ignored', async t => {
  const tab = startTab()
  let open = () => {}
  tab.service.gate = () => new Promise<void>(resolve => (open = resolve))
  tab.outbox.add(listId, edit('a'))
  await settle()
  tab.session.set({ state: 'signed-in', user: bob })
  open()
  await settle()
  t.strictSame(tab.results, [])
  t.equal(tab.outbox.unsent.get(), 0)
})

// Limits

t.test('more than 10,000 unsent operations are refused', async t => {
  const tab = startTab({ isOnline: false })
  tab.outbox.checkLimits(Array.from({ length: 10_000 }, () => edit('')))
  t.throws(() => tab.outbox.checkLimits(Array.from({ length: 10_001 }, () => edit(''))), {
    code: 'TOO_MUCH_UNSENT'
  })
})

t.test('more than 20 MB of unsent operations are refused', async t => {
  const tab = startTab({ isOnline: false })
  const large = () => edit('é'.repeat(1 << 20))
  for (let n = 0; n < 9; n++) tab.outbox.add(listId, large())
  t.throws(() => tab.outbox.add(listId, large()), { code: 'TOO_MUCH_UNSENT' })
  t.equal(tab.outbox.unsent.get(), 9)
  await tab.outbox.discard(listId)
  tab.outbox.add(listId, large())
})

t.test('discarded operations are deleted in all tabs and in the store', async t => {
  const storage = memoryStorage()
  const [one, two] = tabBuses(2) as [Bus, Bus]
  const tab = startTab({ storage, bus: one, isOnline: false })
  const other = startTab({ storage, bus: two, isLeader: false })
  await settle()
  const sent = tab.outbox.add(listId, edit('a'))
  await settle()
  const unstored = tab.outbox.add(listId, edit('b'))
  await tab.outbox.discard(listId)
  await settle()
  t.match(await Promise.all([sent.settled, unstored.settled]), [
    { outcome: 'dropped' },
    { outcome: 'dropped' }
  ])
  t.equal(other.outbox.unsent.get(), 0)
  t.strictSame(await (await storage.open(ann.id)).entries(), [])
})

t.test('whatever fails, every operation is applied once and in order', async () => {
  const step = fc.record({
    tab: fc.nat(2),
    settles: fc.boolean(),
    action: fc.constantFrom('add', 'type', 'cut', 'join', 'break', 'repair', 'lead', 'wait', 'show')
  })
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 5, maxLength: 60 }),
    async steps => {
      const memory = memoryStorage()
      const service = fakeService()
      const clock = manualClock()
      const tabs = tabBuses(3).map((bus, n) => {
        const { storage, broken } = brokenStorage(memory)
        return {
          ...startTab({ storage, service, bus, clock, isLeader: n === 0 }),
          broken,
          made: [] as string[]
        }
      })
      const settled = new Map<string, Result>()
      let isCut = false
      service.refuse = () => (isCut ? refusal('NETWORK') : undefined)
      for (const { tab: n, action, settles } of steps) {
        const tab = tabs[n] as (typeof tabs)[0]
        if (action === 'add' || action === 'type') {
          const op = edit(`${n}`, '', tab.made[0] ?? ann.id)
          const sent = action === 'add' ? tab.outbox.add(listId, op) : type(tab.outbox, listId, op)
          tab.made.push(op.opId)
          void sent.settled.then(result => settled.set(op.opId, result))
        } else if (action === 'cut' || action === 'join') {
          isCut = action === 'cut'
          for (const { link } of tabs) link.canPush.set(link.isLeader.get() && !isCut)
        } else if (action === 'break') tab.broken.before = () => Promise.reject(new Error('gone'))
        else if (action === 'repair') tab.broken.before = undefined
        else if (action === 'show') tab.show()
        else if (action === 'wait') await clock.advance(3_000)
        else
          for (const { link, outbox } of tabs) {
            link.isLeader.set(outbox === tab.outbox)
            link.canPush.set(outbox === tab.outbox && !isCut)
          }
        if (settles) await settle()
      }
      isCut = false
      for (const tab of tabs) tab.broken.before = undefined
      tabs[0]?.lead()
      for (let turn = 0; turn < 4; turn++) await clock.advance(30_000)
      for (const tab of tabs) tab.show()
      await settle()

      for (const { outbox, made } of tabs) {
        if (outbox.unsent.get() > 0) throw new Error(`${outbox.unsent.get()} unsent`)
        for (const opId of made) if (!settled.has(opId)) throw new Error('not settled')
        const own = service.applied.filter(opId => made.includes(opId))
        const order = made.filter(opId => own.includes(opId))
        if (own.join() !== order.join()) throw new Error('wrong order')
      }
      if (new Set(service.applied).size !== service.applied.length) throw new Error('twice')
      const rows = await (await memory.open(ann.id)).entries()
      if (rows.length > 0) throw new Error('rows remain')
      for (const { outbox } of tabs) outbox.close()
    }
  )
  await fc.assert(property, { numRuns: 60 })
})
