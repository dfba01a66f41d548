import type { FastifyRequest } from 'fastify'

/**
 * Options of the logger. What a line holds is listed here, not what is left out: no query string,
 * header, cookie or body, and of an error nothing but what says where it happened.
 */
export function loggerOptions(level: string) {
  return { level, serializers: { req: requestLine, res: answerLine, err: errorLine } }
}

function requestLine({ method, url, ip }: FastifyRequest) {
  return { method, url: url.replace(/\?.*/s, ''), remoteAddress: ip }
}

function answerLine({ statusCode }: { statusCode?: number }) {
  return { statusCode }
}

function errorLine(error: Error & { code?: string }) {
  const { name, message, code, stack } = error
  return { type: name, message, code, stack: stack ?? '' }
}
