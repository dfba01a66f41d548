import type { Cursors, Frame } from './tab-messages.ts'
import type { FeedEvent, LogLine } from './types.ts'

// After a change of the leader, events may arrive twice.
const maxSeen = 1000

/** `last` of a tab that has missed events */
const missed = 'missed'

/** events that change nothing */
const control = ['ready', 'heartbeat', 'session.ended']

/** The events that one tab receives from the leader, or from its own stream: none twice, and `reset` after a gap. */
export function createTabEvents(log: (line: LogLine) => void) {
  const listeners = new Set<{ run: (event: FeedEvent) => void }>()
  /** cursors of the events that this tab has received */
  const seen = new Set<string>()
  let cursors: Cursors = {}

  return {
    listeners,
    cursors: () => cursors,
    join,
    receive,
    onBeat,

    forget() {
      cursors = {}
      seen.clear()
    },

    /** No messages arrive in the back/forward cache. */
    onHide() {
      if (cursors.last !== undefined) cursors = { last: missed }
    },

    /** Returns an event of the stream as the other tabs receive it; undefined when this tab has received it before. */
    frameOf(event: FeedEvent): Extract<Frame, { type: 'event' }> | undefined {
      if (isKnown(event)) return
      const previous = cursors.last === missed ? undefined : cursors.last
      return { type: 'event', event, previous }
    }
  }

  function onBeat(leader: Cursors) {
    if (leader.cursor) {
      // Otherwise the leader is behind this tab.
      if (leader.last === cursors.last || !seen.has(leader.last ?? '')) join(leader)
    } else if (listeners.size === 0) cursors = {}
  }

  function receive({ event, previous }: Extract<Frame, { type: 'event' }>) {
    if (isKnown(event)) return
    const { type, cursor } = event
    // A stream that did not resume begins with `ready`.
    if (control.includes(type)) join({ cursor, last: previous ?? cursor })
    else {
      if (type !== 'reset') join({ cursor, last: previous })
      adopt({ cursor, last: cursor })
    }
    emit(event)
  }

  function isKnown({ type, cursor }: FeedEvent) {
    return type !== 'reset' && !control.includes(type) && seen.has(cursor)
  }

  /** Receives the events after `next.last` from now on. If this tab has received others, it may have missed some. */
  function join(next: Cursors) {
    const hasMissed = cursors.last !== undefined && cursors.last !== next.last
    // For example, this tab was frozen. Its listeners load their data again. Events that arrive again from here on are
    // not skipped: only in their order do they end with the newest state.
    if (hasMissed) seen.clear()
    adopt(next)
    if (hasMissed) emit({ type: 'reset', reason: 'expired', cursor: next.cursor ?? '' })
  }

  function adopt(next: Cursors) {
    cursors = next
    if (next.last !== undefined) seen.add(next.last)
    if (seen.size > maxSeen) seen.delete(seen.values().next().value as string)
  }

  function emit(event: FeedEvent) {
    for (const { run } of [...listeners]) {
      try {
        run(event)
      } catch (error) {
        log({ level: 'warn', message: 'a listener of events failed', error })
      }
    }
  }
}
