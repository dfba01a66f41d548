import { createEntries, type EntriesParts, type Message, UNSTORED } from './entries.ts'
import type { Link } from './link.ts'
import type { Writable } from './readable.ts'
import { createSender, type SenderParts } from './sender.ts'
import type { Entry, Storage } from './storage.ts'
import type { Bus } from './tabs.ts'
import type { Clock, LogLine, Operation, Result, Sent } from './types.ts'
import { createUserStore } from './user-store.ts'
import { createWriter } from './writer.ts'

/** time between two comparisons with the store, and between two tries to store what could not be stored */
const reloadMs = 30_000

export interface QueueParts extends Omit<EntriesParts, 'send'> {
  session: SenderParts['session']
  storage: Storage
  link: Pick<Link, 'isLeader' | 'canPush' | 'push'>
  bus: Bus
  clock: Clock
  log: (line: LogLine) => void
  isStored: Writable<boolean>
  /** Called when the operations of a checklist begin or stop to wait because the user may not change it. */
  onPause: () => void
}

export type Queue = ReturnType<typeof createQueue>

/** Contains the operations of one user on this device that the service has not confirmed. */
export function createQueue(
  userId: string,
  { session, storage, link, bus, clock, log, isStored, onChange, onResult, onPause }: QueueParts
) {
  const closing = new AbortController()
  const { signal: closed } = closing
  const store = createUserStore(storage, userId, clock)
  const entries = createEntries({
    onChange(checklistId) {
      sender.updateInterest()
      void sender.push(checklistId)
      if (!closed.aborted) onChange(checklistId)
    },
    onResult(entry, result) {
      if (!closed.aborted) onResult(entry, result)
    },
    send
  })
  const shared = { entries, store, isStored, log, closed }
  const isLeader = link.isLeader.get
  const writer = createWriter({ ...shared, isLeader, send, onIdle: () => sender.pushAll() })
  const sender = createSender({ ...shared, session, link, clock, writer, onPause: sharePause })
  const stopMessages = bus.on<Message & { userId: string }>('outbox', receive)
  let stopTimer = () => {}
  reloadLater()

  return {
    userId,
    lists: entries.lists,
    store,
    reload: writer.reload,
    pause: sender.pause,
    isPaused: sender.isPaused,

    add(
      checklistId: string,
      op: Operation,
      combine?: { entry: Entry; into: Operation | null }
    ): Sent {
      const settled = entries.add(checklistId, op, combine, isStored.get())
      void writer.writeAll()
      return { opId: op.opId, settled }
    },

    async discard(checklistId: string): Promise<void> {
      const { stored, entries: shown } = entries.listOf(checklistId)
      const writes = entries.writes().filter(write => write.checklistId === checklistId)
      const seqs = stored.map(({ seq }) => seq)
      entries.finish(checklistId, [...stored, ...shown, ...writes].map(dropped))
      await store.use(opened => opened.remove(seqs)).catch(writer.fail)
    },

    resume(checklistId: string) {
      send({ resume: checklistId })
      sender.resume(checklistId)
    },

    close() {
      closing.abort()
      stopMessages()
      stopTimer()
      store.close()
    },

    /** Settles what still waits for a result. */
    drop() {
      for (const opId of [...entries.waiting()]) entries.settle({ opId, outcome: 'dropped' })
    }
  }

  function send(message: Message) {
    if (!closed.aborted) bus.send('outbox', { userId, ...message })
  }

  /** Only the leader knows that the service has refused to change a checklist that no tab has open. */
  function sharePause(checklistId: string) {
    onPause()
    if (isLeader() && sender.isPaused(checklistId)) send({ pause: checklistId })
  }

  function receive(message: Message & { userId: string }) {
    if (message.userId !== userId) return
    if ('left' in message) entries.leave(message.checklistId, message.left)
    else if ('resume' in message) sender.resume(message.resume)
    else if ('pause' in message) {
      if (!isLeader()) sender.pause(message.pause)
    } else if ('put' in message) {
      entries.put(message.put.filter(({ seq }) => seq < UNSTORED))
      if (link.isLeader.get()) entries.adopt(message.put.filter(({ seq }) => seq >= UNSTORED))
      void writer.writeAll()
    } else if (link.isLeader.get()) {
      writer.reload()
      for (const id of entries.lists.keys()) if (sender.isPaused(id)) send({ pause: id })
    }
  }

  /** A tab that crashes after it has stored an operation sends no message about it. */
  function reloadLater() {
    stopTimer = clock.setTimeout(() => {
      if (link.isLeader.get() || !isStored.get()) writer.reload()
      reloadLater()
    }, reloadMs)
  }
}

const dropped = ({ op: { opId } }: { op: Operation }): { result: Result } => ({
  result: { opId, outcome: 'dropped' }
})
