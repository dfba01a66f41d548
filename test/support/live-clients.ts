import { EventEmitter, once } from 'node:events'
import type { Test } from 'tap'
import WebSocket, { type ClientOptions } from 'ws'
import type { Change } from '../../schemas/change.ts'
import type { Checklist } from '../../schemas/checklist.ts'
import type { ServerMessage } from '../../schemas/live.ts'
import type { Operation, Result } from '../../schemas/operation.ts'
import type { Peer } from '../../schemas/presence.ts'

type Headers = Record<string, string>

/** A message of the service, with every field that any of them has. */
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

/** A socket on `/live`, welcomed. Every message is kept; `next` takes the next one that fits and waits for it. */
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
  socket.on('error', () => {}) // told by `closed`, or by the one who waits for the opening
  t.teardown(() => socket.terminate())
  await once(socket, 'open')

  const client = {
    socket,
    messages,
    /** Resolves with the close code. */
    closed: closed.then(([code]) => code),
    send: (message: object) => socket.send(JSON.stringify(message)),

    /** The next message that fits, of those that were not taken yet; others before it are passed over. */
    async next(fits: Message['type'] | ((message: Message) => boolean)): Promise<Message> {
      for (;;) {
        while (taken < messages.length) {
          const message = messages[taken++] as Message
          if (typeof fits === 'string' ? message.type === fits : fits(message)) return message
        }
        await Promise.race([
          once(arrivals, 'message'),
          closed.then(([code, why]) => {
            throw new Error(`closed with ${code} ${why} while waiting for ${fits}`)
          })
        ])
      }
    },

    async open(checklistId: string, place: { since?: number; epoch?: string } = {}) {
      client.send({ type: 'open', checklistId, ...place })
      return client.next(
        ({ type }) => type === 'snapshot' || type === 'changes' || type === 'error'
      )
    },

    async push(checklistId: string, ...ops: Operation[]): Promise<Result[]> {
      client.send({ type: 'push', checklistId, ops })
      const { results } = await client.next('ack')
      return results ?? []
    },

    /** The next change of any list. */
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

/** One event of `GET /events` as the wire has it. */
export interface SseEvent {
  event: string
  id: string
  data: Record<string, unknown>
}

export type Feed = Awaited<ReturnType<typeof openFeed>>

/** A stream of `GET /events` read with fetch. `next` takes the next event of a type and waits for it. */
export async function openFeed(
  t: Test,
  url: string,
  headers: Headers,
  { query = '', cursor }: { query?: string; cursor?: string } = {}
) {
  const controller = new AbortController()
  t.teardown(() => controller.abort())
  const response = await fetch(`${url}/events${query}`, {
    headers: { ...headers, ...(cursor !== undefined && { 'last-event-id': cursor }) },
    signal: controller.signal
  })
  const arrivals = new EventEmitter()
  const events: SseEvent[] = []
  let taken = 0
  let isEnded = false
  const ended = read().finally(() => {
    isEnded = true
    arrivals.emit('event')
  })

  return {
    response,
    events,
    /** Resolves when the stream is over, whoever ended it. */
    ended,
    stop: () => controller.abort(),

    async next(type?: string): Promise<SseEvent> {
      for (;;) {
        while (taken < events.length) {
          const event = events[taken++] as SseEvent
          if (type === undefined || event.event === type) return event
        }
        if (isEnded) throw new Error(`the stream ended before ${type}`)
        await once(arrivals, 'event')
      }
    }
  }

  async function read() {
    let text = ''
    try {
      for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += chunk
        const blocks = text.split('\n\n')
        text = blocks.pop() ?? ''
        for (const block of blocks) take(block)
      }
    } catch {
      // cut off, by us or by the other side
    }
  }

  function take(block: string) {
    const fields = Object.fromEntries(
      block.split('\n').map(line => {
        const colon = line.indexOf(': ')
        return [line.slice(0, colon), line.slice(colon + 2)]
      })
    )
    if (fields.event === undefined) return
    events.push({ event: fields.event, id: fields.id ?? '', data: JSON.parse(fields.data ?? '{}') })
    arrivals.emit('event')
  }
}
