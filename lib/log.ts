import { createRequire } from 'node:module'
import type { FastifyRequest } from 'fastify'

const require = createRequire(import.meta.url)

/** Returns the options of the logger. It logs no query string, header, cookie or body of a request. */
export function loggerOptions(level: string, isTerminal: boolean) {
  const options = { level, serializers: { req: requestLine, res: responseLine, err: errorLine } }
  if (!isTerminal) return options
  // Loaded here, because most services do not log to a terminal.
  const pretty = require('pino-pretty')
  return {
    ...options,
    stream: pretty({
      sync: true,
      singleLine: true,
      ignore: 'pid,hostname,reqId',
      translateTime: 'HH:MM:ss'
    })
  }
}

function requestLine({ method, url, ip }: FastifyRequest) {
  return { method, url: url.replace(/\?.*/s, ''), remoteAddress: ip }
}

function responseLine({ statusCode }: { statusCode?: number }) {
  return { statusCode }
}

function errorLine(error: Error & { code?: string }) {
  const { name, message, code, stack } = error
  return { type: name, message, code, stack: stack ?? '' }
}
