import { randomBytes } from 'node:crypto'
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace
} from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider
} from '@opentelemetry/sdk-trace'
import type { LogEvent } from './event.ts'
import { parseEventTrace, type TraceContext, traceContext } from './trace-context.ts'

export interface TracingOptions {
  /** address of an OTLP/HTTP receiver, such as `http://127.0.0.1:4318` */
  endpoint: string
  serviceName: string
  version: string
  /** part of the requests without `traceparent` that are recorded, from 0 to 1 */
  ratio: number
  /** Called when spans cannot be sent, and with undefined when they can be sent again. */
  onFailure: (error: Error | undefined) => void
}

export type Tracing = ReturnType<typeof createTracing>

/** A span that has not ended. */
export type OpenSpan = TraceContext & { span: Span }

/** The parts of a query of the driver that are not in its types. */
interface Query {
  handler?: (query: Query) => unknown
  /** the text that was sent, with $1 in place of the first value */
  string?: string
  resolve(value: unknown): void
  reject(error: Error): void
}

type Begin = (...args: unknown[]) => Promise<unknown>

const limits = { exportMs: 10_000, delayMs: 1000, queue: 8192 }

/**
 * Records spans and sends them to a receiver by OTLP/HTTP. Uses no global state of OpenTelemetry. This module is loaded
 * only when tracing is on.
 */
export function createTracing({
  endpoint,
  serviceName,
  version,
  ratio,
  onFailure
}: TracingOptions) {
  const processId = randomBytes(4).toString('hex')
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces` })
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': serviceName,
      'service.version': version,
      'service.instance.id': processId,
      'process.pid': process.pid
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: reportFailures(exporter, onFailure),
        scheduledDelayMillis: limits.delayMs,
        exportTimeoutMillis: limits.exportMs,
        maxQueueSize: limits.queue
      })
    ]
  })
  const tracer = provider.getTracer('concord', version)
  /** the commit of which a span was recorded last; its further events are at the next positions */
  let lastCommit = ''

  return {
    /** Starts the span of a request or message. `traceparent` is the header of a client that records traces too. */
    start(name: string, attributes: Attributes, traceparent = ''): OpenSpan {
      return open(name, attributes, SpanKind.SERVER, parentOf(traceparent))
    },

    end,

    /** Runs `task` in a span of its own for a message of a client. */
    async run<T>(name: string, attributes: Attributes, task: () => Promise<T>): Promise<T> {
      const opened = open(name, attributes, SpanKind.SERVER, ROOT_CONTEXT)
      return traceContext.run(opened, () => settle([opened], task))
    },

    /** Runs a task that works for several requests, and records one span in the trace of each. */
    runFor<T>(
      name: string,
      contexts: (TraceContext | undefined)[],
      task: () => Promise<T>
    ): Promise<T> {
      const spans = [...new Set(contexts)]
        .filter(isOpenSpan)
        .map(({ span }) => open(name, {}, SpanKind.CLIENT, contextOf(span)))
      // Otherwise the statement would belong to the request that happened to start the task.
      return settle(spans, () => traceContext.run({ text: '' }, task))
    },

    /** Returns a pool or transaction whose statements and transactions are spans, if they belong to a span. */
    traceStatements,

    /** Records the delivery of an event by this process, and its commit if this process has written it. */
    recordDelivery({ trace: text, pos, kind, at }: LogEvent, readAt: Date) {
      const written = parseEventTrace(text ?? '')
      if (!written) return
      const { traceId, spanId, commitAt } = written
      const parent = remote(traceId, spanId)
      if (written.processId === processId && text !== lastCommit) {
        lastCommit = text ?? ''
        const commit = tracer.startSpan('commit', { startTime: new Date(commitAt) }, parent)
        commit.end(at)
      }
      const attributes = { 'concord.event.position': pos, 'concord.event.kind': kind }
      const options = { startTime: at, kind: SpanKind.CONSUMER, attributes }
      const span = tracer.startSpan('deliver', options, parent)
      span.addEvent('read from the log', readAt)
      span.end()
    },

    /** Sends the spans that are left. */
    close: () => provider.shutdown()
  }

  function open(name: string, attributes: Attributes, kind: SpanKind, parent: Context): OpenSpan {
    const span = tracer.startSpan(name, { kind, attributes }, parent)
    const { traceId, spanId } = span.spanContext()
    return { span, text: span.isRecording() ? `${traceId}-${spanId}-${processId}` : '' }
  }

  /** Ends spans when the task settles. */
  async function settle<T>(spans: OpenSpan[], task: () => Promise<T>): Promise<T> {
    try {
      const result = await task()
      for (const span of spans) end(span)
      return result
    } catch (error) {
      for (const span of spans) end(span, error as Error)
      throw error
    }
  }

  function traceStatements<Sql extends object>(sql: Sql): Sql {
    return new Proxy(sql, {
      apply: (target, self, args) => traceQuery(Reflect.apply(target as never, self, args)),
      get(target, name) {
        const value = Reflect.get(target, name)
        return name === 'begin' ? traceTransaction(value as Begin) : value
      }
    })
  }

  /** Starts a span when the driver sends the statement: a part of another statement is never sent by itself. */
  function traceQuery(query: Query): Query {
    const { handler } = query
    const parent = traceContext.getStore()
    if (!handler || !isOpenSpan(parent)) return query
    query.handler = sent => {
      const attributes = { 'db.system.name': 'postgresql' }
      const span = open('statement', attributes, SpanKind.CLIENT, contextOf(parent.span))
      const { resolve, reject } = sent
      const endStatement = (error?: Error) => {
        span.span.setAttribute('db.query.text', sent.string ?? '')
        end(span, error)
      }
      sent.resolve = value => {
        endStatement()
        resolve(value)
      }
      sent.reject = error => {
        endStatement(error)
        reject(error)
      }
      return handler(sent)
    }
    return query
  }

  function traceTransaction(begin: Begin) {
    return (...args: unknown[]) => {
      const parent = traceContext.getStore()
      const task = args.pop() as (sql: object) => unknown
      if (!isOpenSpan(parent)) return begin(...args, task)
      const span = open('transaction', {}, SpanKind.CLIENT, contextOf(parent.span))
      return settle([span], () => begin(...args, (sql: object) => task(traceStatements(sql))))
    }
  }
}

function end({ span }: OpenSpan, error?: Error & { code?: string }) {
  // The message of an error of PostgreSQL may contain values.
  if (error) span.setStatus({ code: SpanStatusCode.ERROR, message: error.code ?? error.name })
  span.end()
}

function isOpenSpan(context: TraceContext | undefined): context is OpenSpan {
  return context !== undefined && context.text !== ''
}

function contextOf(span: Span): Context {
  return trace.setSpan(ROOT_CONTEXT, span)
}

/** Returns the context of the W3C header `traceparent`; a malformed one is ignored. */
function parentOf(traceparent: string): Context {
  const [, traceId, spanId, flags] =
    /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent) ?? []
  if (!traceId || !spanId) return ROOT_CONTEXT
  return remote(traceId, spanId, Number.parseInt(flags ?? '', 16) & TraceFlags.SAMPLED)
}

function remote(traceId: string, spanId: string, traceFlags = TraceFlags.SAMPLED): Context {
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true })
}

function reportFailures(
  exporter: OTLPTraceExporter,
  onFailure: TracingOptions['onFailure']
): SpanExporter {
  let hasFailed = false
  return {
    export(spans, done) {
      exporter.export(spans as never, result => {
        const { error = new Error('the receiver refused them') } = result
        if ((result.code !== 0) !== hasFailed) onFailure(hasFailed ? undefined : error)
        hasFailed = result.code !== 0
        done(result)
      })
    },
    forceFlush: () => exporter.forceFlush(),
    shutdown: () => exporter.shutdown()
  }
}
