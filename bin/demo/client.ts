import { randomUUID } from 'node:crypto'
import WebSocket from 'ws'
import type { Change } from '../../schemas/change.ts'
import type { Operation, Result } from '../../schemas/operation.ts'
import { createInbox } from './inbox.ts'

/** An event of `GET /events`; `id` is its cursor. */
export interface FeedEvent {
  event: string
  id: string
  data: { rev?: number; checklistId?: string; projectId?: string; after?: { text?: string } }
}

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

/** An operation without its id. */
export type NewOperation = Operation extends infer Op
  ? Op extends Operation
    ? Omit<Op, 'opId'>
    : never
  : never

export type DemoClient = Awaited<ReturnType<typeof createDemoClient>>

/** Signs a user up and in on one node. Returns a client of that node. */
export async function createDemoClient(node: string, name: string) {
  const account = { email: `${name.toLowerCase()}@example.com`, password: `${name}, only a demo` }
  let authorization = ''
  await request('POST', '/auth/signup', { ...account, name })
  const { accessToken } = await request('POST', '/auth/signin', account)
  authorization = `Bearer ${accessToken}`
  let socket: WebSocket | undefined
  let stream: AbortController | undefined
  let rev = 0

  const client = {
    name,
    email: account.email,
    request,
    /** events received on `/events`, over all connections */
    events: createInbox<FeedEvent>(),
    /** messages received on `/live`, over all connections */
    messages: createInbox<LiveMessage>(),

    /** Opens `/events` with the cursor of the last event. Resolves with the first event. */
    async openStream() {
      stream = new AbortController()
      const cursor = client.events.all.at(-1)?.id
      const first = client.events.next(() => true)
      const response = await fetch(`${node}/events`, {
        headers: { authorization, ...(cursor && { 'last-event-id': cursor }) },
        signal: stream.signal
      })
      readStream(response).catch(() => {}) // aborted by closeStream
      return first
    },

    closeStream() {
      stream?.abort()
    },

    /** Opens a checklist on `/live` after the last received revision. Resolves with the snapshot or the missed changes. */
    async openChecklist(checklistId: string) {
      socket = new WebSocket(`${node.replace('http', 'ws')}/live`, { headers: { authorization } })
      const welcome = client.messages.next(({ type }) => type === 'welcome')
      socket.on('message', bytes => receive(JSON.parse(String(bytes))))
      socket.on('error', () => {}) // the step fails by its deadline
      await welcome
      const response = client.messages.next(({ type }) => type === 'snapshot' || type === 'changes')
      send({ type: 'open', checklistId, ...(rev > 0 && { since: rev }) })
      return response
    },

    /** Drops the connection of `/live` without a close frame, as a lost network does. */
    loseConnection() {
      socket?.terminate()
    },

    /** Pushes one operation on `/live`. Resolves with its result. */
    async push(checklistId: string, op: NewOperation): Promise<Result> {
      const ack = client.messages.next(({ type }) => type === 'ack')
      send({ type: 'push', checklistId, ops: [withId(op)] })
      const [result] = (await ack).results
      return result as Result
    },

    /** Resolves with the next message of `/live` that contains a matching change. */
    nextChange(kind: Change['kind'], matches: (change: Change) => boolean = () => true) {
      return client.messages.next(({ type, changes }) => {
        return type === 'changes' && changes.some(change => change.kind === kind && matches(change))
      })
    },

    /** Resolves with the next matching event of `/events`. */
    nextEvent(name: string, matches: (event: FeedEvent) => boolean = () => true) {
      return client.events.next(event => event.event === name && matches(event))
    }
  }
  return client

  async function request(method: string, path: string, body?: object) {
    const response = await fetch(`${node}${path}`, {
      method,
      headers: { authorization, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body)
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path} returned ${response.status}: ${text}`)
    return text === '' ? undefined : JSON.parse(text)
  }

  function send(message: object) {
    socket?.send(JSON.stringify(message))
  }

  function receive(message: LiveMessage) {
    if (message.type === 'snapshot') rev = message.checklist.rev
    if (message.type === 'changes') rev = message.to
    client.messages.add(message)
  }

  async function readStream({ body }: Response) {
    let text = ''
    for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? ''
        if (field('event')) {
          client.events.add({
            event: field('event'),
            id: field('id'),
            data: JSON.parse(field('data'))
          })
        }
      }
    }
  }
}

/** Returns the operation with a new id. */
export function withId(op: NewOperation): Operation {
  return { opId: randomUUID(), ...op } as Operation
}
