import type { ConcordError } from './errors.ts'
import { isTemporary } from './http.ts'
import type { Link } from './link.ts'
import { throwLater } from './readable.ts'
import type { SessionManager } from './session.ts'
import { signedOutError } from './signed-out.ts'
import { createStream, type StreamParts } from './stream.ts'
import type { Client, FeedEvent } from './types.ts'

export interface EventParts extends Pick<StreamParts, 'address' | 'fetch' | 'clock' | 'log'> {
  session: Pick<SessionManager, 'state'> & StreamParts['session']
  link: Pick<Link, 'onEvent'>
  /** aborts when the client is closed */
  closed: AbortSignal
}

/** Returns the part of a client that is about single events. */
export function createEvents(parts: EventParts): Pick<Client, 'on' | 'events'> {
  const { session, link, closed } = parts

  return {
    on(type, run, { signal, project } = {}) {
      if (signal?.aborted || closed.aborted) return () => {}
      const projectId = project?.toLowerCase()
      const unsubscribe = link.onEvent(event => {
        if (event.type !== type) return
        const isElsewhere = 'projectId' in event && event.projectId !== projectId
        if (projectId !== undefined && isElsewhere) return
        try {
          run(event as never)
        } catch (error) {
          throwLater(error)
        }
      })
      signal?.addEventListener('abort', unsubscribe)
      return () => {
        signal?.removeEventListener('abort', unsubscribe)
        unsubscribe()
      }
    },

    // The stream is read only as fast as the events are taken: the network then slows down the service.
    async *events({ after, project, signal } = {}) {
      const signals = [closed, signal]
      const queue: FeedEvent[] = []
      let cursor = after
      let failure: ConcordError | undefined
      let userId: string | undefined
      let wake = () => {}
      let onEmpty = () => {}
      const stream = createStream({
        ...parts,
        project,
        cursor: () => cursor,
        onEvent(event) {
          cursor = event.cursor
          queue.push(event)
          wake()
        },
        onError: error => isRefused(error) && fail(error),
        drained: () =>
          new Promise(resolve => {
            onEmpty = resolve
            wake()
          })
      })
      const unsubscribe = session.state.subscribe(now => {
        const next = now.state === 'signed-in' ? now.user.id : undefined
        if (now.state === 'signed-out' || (userId && next !== userId)) fail(signedOutError())
        userId = next
      })
      for (const one of signals) one?.addEventListener('abort', wakeUp)
      try {
        stream.want(true)
        while (!signals.some(one => one?.aborted)) {
          const event = queue.shift()
          if (event) yield event
          else if (failure) throw failure
          else {
            onEmpty()
            await new Promise<void>(resolve => {
              wake = resolve
            })
          }
        }
      } finally {
        stream.want(false)
        onEmpty()
        unsubscribe()
        for (const one of signals) one?.removeEventListener('abort', wakeUp)
      }

      function fail(error: ConcordError) {
        failure = error
        wake()
      }

      function wakeUp() {
        wake()
      }
    }
  }
}

/** Returns whether the service will refuse the same stream again. For 401 and 403, the session manager decides. */
function isRefused(error: ConcordError): boolean {
  return (
    error.code !== undefined && error.status !== 401 && error.status !== 403 && !isTemporary(error)
  )
}
