import { createInbox } from './inbox.ts'

/** An event of `GET /events`; `id` is its cursor. */
export interface FeedEvent {
  event: string
  id: string
  data: { rev?: number; checklistId?: string; projectId?: string; after?: { text?: string } }
}

/** Creates a client of `GET /events`. */
export function createStreamClient(node: string, authorization: string) {
  const events = createInbox<FeedEvent>()
  let stream: AbortController | undefined

  return {
    /** events received so far, over all connections */
    events,

    /** Opens the stream with the cursor of the last event. Resolves with the first event. */
    async openStream() {
      stream = new AbortController()
      const cursor = events.all.at(-1)?.id
      const first = events.next(() => true)
      const response = await fetch(`${node}/events`, {
        headers: { authorization, ...(cursor && { 'last-event-id': cursor }) },
        signal: stream.signal
      })
      readEvents(response, events.add).catch(() => {}) // closeStream aborts the response
      return first
    },

    closeStream() {
      stream?.abort()
    },

    /** Resolves with the next matching event. */
    nextEvent(name: string, matches: (event: FeedEvent) => boolean = () => true) {
      return events.next(event => event.event === name && matches(event))
    }
  }
}

async function readEvents({ body }: Response, onEvent: (event: FeedEvent) => void) {
  let text = ''
  for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? ''
      const event = field('event')
      if (event) onEvent({ event, id: field('id'), data: JSON.parse(field('data')) })
    }
  }
}
