import { randomUUID } from 'node:crypto'
import WebSocket from 'ws'
import type { Change } from '../../schemas/change.ts'
import type { Operation, Result } from '../../schemas/operation.ts'
import { createInbox } from './inbox.ts'

/** An event of `GET /events`; `id` is the cursor behind it. */
export interface FeedEvent {
  event: string
  id: string
  data: { rev?: number; checklistId?: string; projectId?: string; after?: { text?: string } }
}

/** A message of `GET /live`, with the fields that the demo looks at. */
export interface LiveMessage {
  type: string
  from: number
  to: number
  changes: Change[]
  results: Result[]
  checklist: { rev: number }
  reason?: string
}

/** An operation without its id, which `operation` makes. */
export type Wish = Operation extends infer Op
  ? Op extends Operation
    ? Omit<Op, 'opId'>
    : never
  : never

export type Person = Awaited<ReturnType<typeof createPerson>>

/** Somebody who signs up and in at one node, and talks to it as any client would. */
export async function createPerson(node: string, name: string) {
  const account = { email: `${name.toLowerCase()}@example.com`, password: `${name}, only a demo` }
  let authorization = ''
  await request('POST', '/auth/signup', { ...account, name })
  const { accessToken } = await request('POST', '/auth/signin', account)
  authorization = `Bearer ${accessToken}`
  let socket: WebSocket | undefined
  let stream: AbortController | undefined
  let rev = 0

  const person = {
    name,
    email: account.email,
    request,
    /** What `/events` brought, over all connections. */
    feed: createInbox<FeedEvent>(),
    /** What `/live` brought, over all connections. */
    live: createInbox<LiveMessage>(),

    /** Opens `/events`, after what was read last. Resolves with the first event. */
    async listen() {
      stream = new AbortController()
      const cursor = person.feed.all.at(-1)?.id
      const first = person.feed.next(() => true)
      const response = await fetch(`${node}/events`, {
        headers: { authorization, ...(cursor && { 'last-event-id': cursor }) },
        signal: stream.signal
      })
      read(response).catch(() => {}) // cut off by hangUp
      return first
    },

    hangUp() {
      stream?.abort()
    },

    /** Opens a list on `/live`, continuing at the revision seen last. Resolves with what is new. */
    async join(checklistId: string) {
      socket = new WebSocket(`${node.replace('http', 'ws')}/live`, { headers: { authorization } })
      const welcome = person.live.next(({ type }) => type === 'welcome')
      socket.on('message', bytes => hear(JSON.parse(String(bytes))))
      socket.on('error', () => {}) // what is awaited then does not come
      await welcome
      const answer = person.live.next(({ type }) => type === 'snapshot' || type === 'changes')
      send({ type: 'open', checklistId, ...(rev > 0 && { since: rev }) })
      return answer
    },

    /** As when the train enters a tunnel. */
    goOffline() {
      socket?.terminate()
    },

    /** Pushes one operation on `/live`; resolves with its result. */
    async push(checklistId: string, wish: Wish): Promise<Result> {
      const ack = person.live.next(({ type }) => type === 'ack')
      send({ type: 'push', checklistId, ops: [operation(wish)] })
      const [result] = (await ack).results
      return result as Result
    },

    /** Hears of a kind of change on `/live`. */
    change(kind: Change['kind'], fits: (change: Change) => boolean = () => true) {
      return person.live.next(({ type, changes }) => {
        return type === 'changes' && changes.some(change => change.kind === kind && fits(change))
      })
    },

    /** Hears of an event on `/events`. */
    event(name: string, fits: (event: FeedEvent) => boolean = () => true) {
      return person.feed.next(event => event.event === name && fits(event))
    }
  }
  return person

  async function request(method: string, path: string, body?: object) {
    const response = await fetch(`${node}${path}`, {
      method,
      headers: { authorization, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body)
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`)
    return text === '' ? undefined : JSON.parse(text)
  }

  function send(message: object) {
    socket?.send(JSON.stringify(message))
  }

  function hear(message: LiveMessage) {
    if (message.type === 'snapshot') rev = message.checklist.rev
    if (message.type === 'changes') rev = message.to
    person.live.take(message)
  }

  async function read({ body }: Response) {
    let text = ''
    for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? ''
        if (field('event')) {
          person.feed.take({
            event: field('event'),
            id: field('id'),
            data: JSON.parse(field('data'))
          })
        }
      }
    }
  }
}

export function operation(wish: Wish): Operation {
  return { opId: randomUUID(), ...wish } as Operation
}
