import { AsyncLocalStorage } from 'node:async_hooks'

/** The span that the running code belongs to. */
export interface TraceContext {
  /** The text that events of this span store: `<trace id>-<span id>-<process>`; empty when the span is not recorded. */
  text: string
}

/** Set by lib/tracing.ts. Empty without tracing. */
export const traceContext = new AsyncLocalStorage<TraceContext>()

/** Returns the text of the present span for the event log, or an empty text. */
export function currentTrace(): string {
  return traceContext.getStore()?.text ?? ''
}

/** The trace of an event. */
export interface EventTrace {
  traceId: string
  spanId: string
  /** the process that wrote the event */
  processId: string
  /** when COMMIT began to wait for the commit lock, by the clock of the database, in milliseconds since 1970 */
  commitAt: number
}

/** Parses what `number_events` stored with an event: the text of the span, a blank, and seconds since 1970. */
export function parseEventTrace(text: string): EventTrace | undefined {
  const [, traceId, spanId, processId, seconds] =
    /^([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{8}) (\d+\.\d+)$/.exec(text) ?? []
  if (!traceId || !spanId || !processId) return
  return { traceId, spanId, processId, commitAt: Number(seconds) * 1000 }
}
