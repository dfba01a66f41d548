import { randomUUID } from 'node:crypto'
import t from 'tap'
import { createAbsence } from '../../client/absence.ts'
import { memoryStorage } from '../../client/memory-storage.ts'
import { createMirror, type MirrorParts } from '../../client/mirror.ts'
import { writable } from '../../client/readable.ts'
import type { Entry } from '../../client/storage.ts'
import type { ListHandler } from '../../client/tab-lists.ts'
import type { ChecklistData } from '../../client/types.ts'
import { edit, manualClock, settle, startTab } from './outbox-setup.ts'

t.test('an operation stays in the view of a removed member until a snapshot', async t => {
  const id = randomUUID()
  let handler: ListHandler | undefined
  const link: MirrorParts['link'] = {
    onEvent: () => () => {},
    open(_id, given) {
      handler = given
      return { close() {}, show() {}, resync() {} }
    }
  }
  const { outbox } = startTab({ storage: memoryStorage() })
  await settle()
  const mirror = createMirror(id, {
    ...{ link, outbox, clock: manualClock(), absence: createAbsence(), error: writable(null) },
    ...{ session: { request: () => new Promise(() => {}) }, notify() {}, onChange() {} }
  })
  await mirror.open()
  const data: ChecklistData = {
    ...{ id, projectId: randomUUID(), title: 'List', rev: 1, epoch: 'one', role: 'editor' },
    ...{ items: [], conflicts: [] }
  }
  handler?.snapshot(data)
  const entryOf = (seq: number): Entry => ({
    ...{ seq, checklistId: id, op: edit('a'), version: 0, isSent: true }
  })
  const [first, second] = [entryOf(1), entryOf(2)]
  mirror.receiveResult(first, { opId: first.op.opId, outcome: 'applied', rev: 2 })
  handler?.revoked('removed')
  // The user has been added again, and a push is acknowledged before the checklist is open again.
  mirror.receiveResult(second, { opId: second.op.opId, outcome: 'applied', rev: 3 })
  t.strictSame(mirror.entries(), [first, second])
  handler?.snapshot({ ...data, rev: 3 })
  t.strictSame(mirror.entries(), [])
  mirror.close()
  outbox.close()
})
