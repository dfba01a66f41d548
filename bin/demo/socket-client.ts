import WebSocket from 'ws'
import type { Change } from '../../schemas/change.ts'
import type { Result } from '../../schemas/operation.ts'
import { createInbox } from './inbox.ts'
import { type NewOperation, withOpId } from './operation.ts'

/** A message of `GET /live`, with the fields that the demo reads. */
export interface LiveMessage {
  type: string
  from: number
  to: number
  changes: Change[]
  results: Result[]
  checklist: { rev: number }
  reason?: string
}

/** Creates a client of one checklist on `GET /live`. */
export function createSocketClient(node: string, authorization: string) {
  const messages = createInbox<LiveMessage>()
  let socket: WebSocket | undefined
  let rev = 0

  return {
    /** messages received so far, over all connections */
    messages,

    /**
     * Connects and opens a checklist, with the last received revision as `since`. Resolves with the snapshot or the
     * missed changes.
     */
    async openChecklist(checklistId: string) {
      socket = new WebSocket(`${node.replace('http', 'ws')}/live`, { headers: { authorization } })
      const welcome = messages.next(({ type }) => type === 'welcome')
      socket.on('message', bytes => receive(JSON.parse(String(bytes))))
      socket.on('error', () => {}) // after an error the step fails at its deadline
      await welcome
      const response = messages.next(({ type }) => type === 'snapshot' || type === 'changes')
      send({ type: 'open', checklistId, ...(rev > 0 && { since: rev }) })
      return response
    },

    /** Terminates the connection without a close frame, as when a network is lost. */
    loseConnection() {
      socket?.terminate()
    },

    /** Pushes one operation. Resolves with its result. */
    async push(checklistId: string, op: NewOperation): Promise<Result> {
      const ack = messages.next(({ type }) => type === 'ack')
      send({ type: 'push', checklistId, ops: [withOpId(op)] })
      const [result] = (await ack).results
      return result as Result
    },

    /** Resolves with the next message that contains a matching change. */
    nextChange(kind: Change['kind'], matches: (change: Change) => boolean = () => true) {
      return messages.next(
        ({ type, changes }) =>
          type === 'changes' && changes.some(change => change.kind === kind && matches(change))
      )
    }
  }

  function send(message: object) {
    socket?.send(JSON.stringify(message))
  }

  function receive(message: LiveMessage) {
    if (message.type === 'snapshot') rev = message.checklist.rev
    if (message.type === 'changes') rev = message.to
    messages.add(message)
  }
}
