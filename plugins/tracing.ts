import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { traceContext } from '../lib/trace-context.ts'
import type { OpenSpan, Tracing } from '../lib/tracing.ts'
import { withTimeout } from '../lib/with-timeout.ts'
import packageJson from '../package.json' with { type: 'json' }
import { shutdownLimits } from './http/shutdown.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Records spans by OpenTelemetry. Undefined when OTEL_EXPORTER_OTLP_ENDPOINT is not set. */
    tracing: Tracing | undefined
  }

  interface FastifyRequest {
    span?: OpenSpan
  }
}

// A span of a stream or socket would last for hours; probes would only fill the receiver.
const UNTRACED = /^\/(events|live|health\/.*|metrics)$/

async function plugin(app: FastifyInstance) {
  const { config, primary, log } = app
  const { tracing: options, workers } = config
  // The primary of a node with several workers serves no request and delivers no event.
  if (!options || (workers > 1 && !primary)) {
    app.decorate('tracing', undefined)
    return
  }
  const { createTracing } = await import('../lib/tracing.ts')
  const tracing = createTracing({
    ...options,
    version: packageJson.version,
    onFailure: err =>
      err ? log.warn({ err }, 'spans lost: not sent') : log.info('spans sent again')
  })
  app.decorate('tracing', tracing)
  app.addHook('onClose', () =>
    withTimeout(tracing.close(), shutdownLimits.connectionMs).catch(() => {})
  )

  app.decorateRequest('span')
  app.addHook('onRequest', (request, _reply, done) => {
    const { method, headers, routeOptions } = request
    const route = routeOptions.url
    if (!route || UNTRACED.test(route)) return done()
    const attributes = { 'http.request.method': method, 'http.route': route }
    request.span = tracing.start(
      `${method} ${route}`,
      attributes,
      String(headers.traceparent ?? '')
    )
    traceContext.run(request.span, done)
  })

  // The body arrives in the context of its connection, so the context of the request has to be entered again.
  app.addHook('preValidation', (request, _reply, done) => {
    if (request.span) traceContext.run(request.span, done)
    else done()
  })

  app.addHook('onResponse', async ({ span }, { statusCode }) => {
    if (!span) return
    span.span.setAttribute('http.response.status_code', statusCode)
    tracing.end(span, statusCode >= 500 ? new Error('5xx') : undefined)
  })
}

export default fp(plugin, { name: 'tracing', dependencies: ['config'] })
