import { EventEmitter, once } from 'node:events'
import type { Test } from 'tap'
import WebSocket, { type ClientOptions } from 'ws'
import type { Change } from '../../schemas/change.ts'
import type { Checklist } from '../../schemas/checklist.ts'
import type { ServerMessage } from '../../schemas/live.ts'
import type { Operation, Result } from '../../schemas/operation.ts'
import type { Peer } from '../../schemas/presence.ts'

type Headers = Record<string, string>

/** A message that the service sends, with the fields of all types. */
export type Message = { type: ServerMessage['type'] } & Partial<{
  checklistId: string
  checklist: Checklist
  from: number
  to: number
  head: number
  changes: Change[]
  results: Result[]
  code: string
  message: string
  reason: string
  role: string
  epoch: string
  userId: string
  sessionId: string
  expiresAt: string
  n: number
  peers: Peer[]
  others: number
  connectionId: string
}>

export type LiveClient = Awaited<ReturnType<typeof openLive>>

/**
 * Opens `GET /live` and waits for `welcome`. `next` waits for the next message of a type, or for which a function
 * returns true, and skips the messages before it.
 */
export async function openLive(
  t: Test,
  url: string,
  headers: Headers,
  options: ClientOptions = {}
) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/live`, { headers, ...options })
  const arrivals = new EventEmitter()
  const messages: Message[] = []
  let taken = 0
  const closed = new Promise<[number, Buffer]>(resolve => {
    socket.on('close', (code, reason) => resolve([code, reason]))
  })
  socket.on('message', data => {
    messages.push(JSON.parse(data.toString()))
    arrivals.emit('message')
  })
  socket.on('error', () => {}) // `closed` and the wait for `open` report the error
  t.teardown(() => socket.terminate())
  await once(socket, 'open')

  const client = {
    socket,
    messages,
    /** Resolves with the close code. */
    closed: closed.then(([code]) => code),
    send: (message: object) => socket.send(JSON.stringify(message)),

    async next(fits: Message['type'] | ((message: Message) => boolean)): Promise<Message> {
      for (;;) {
        while (taken < messages.length) {
          const message = messages[taken++] as Message
          if (typeof fits === 'string' ? message.type === fits : fits(message)) return message
        }
        await Promise.race([
          once(arrivals, 'message'),
          closed.then(([code, reason]) => {
            throw new Error(`closed with ${code} ${reason} while waiting for ${fits}`)
          })
        ])
      }
    },

    async open(checklistId: string, position: { since?: number; epoch?: string } = {}) {
      client.send({ type: 'open', checklistId, ...position })
      return client.next(
        ({ type }) => type === 'snapshot' || type === 'changes' || type === 'error'
      )
    },

    async push(checklistId: string, ...ops: Operation[]): Promise<Result[]> {
      client.send({ type: 'push', checklistId, ops })
      const { results } = await client.next('ack')
      return results ?? []
    },

    /** Returns the first change of the next `changes` message, of any list. */
    async change(kind?: Change['kind']): Promise<Change> {
      const { changes } = await client.next(
        ({ type, changes }) => type === 'changes' && (!kind || changes?.[0]?.kind === kind)
      )
      return changes?.[0] as Change
    }
  }
  await client.next('welcome')
  return client
}
