import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { bodyOf, describeError, type Refusal } from '../../lib/error-body.ts'
import { refusalOf } from '../../lib/postgres/errors.ts'
import type { ErrorCode } from '../../schemas/error.ts'

async function errors(app: FastifyInstance) {
  app.setErrorHandler(sendError)
}

/** Sends the response to an error. Also handles errors that Fastify finds before it has chosen a route. */
export function sendError(thrown: FastifyError, request: FastifyRequest, reply: FastifyReply) {
  const error: Refusal = refusalOf(thrown)
  const { body, retryAfter } = describeError(error)
  const { statusCode, code } = body
  // A refusal under load is logged without a stack, so that a flood of requests does not fill the log.
  if (statusCode === 503 && error === thrown) request.log.warn({ code }, 'request refused')
  else if (statusCode >= 500) request.log.error({ err: thrown }, 'request failed')
  if (statusCode === 401) reply.header('www-authenticate', 'Bearer') // required by RFC 9110, 11.6.1
  reply.headers(error.headers ?? {})
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter)
  return reply.code(statusCode).send(body)
}

const CLIENT_ERRORS: Record<string, [number, string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request was not complete in time'],
  HPE_HEADER_OVERFLOW: [431, 'the headers are too large'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'the chunk extensions are too large']
}

/** Refuses bytes that are not valid HTTP. For these Fastify creates neither a request nor a reply. */
export function onClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, message] = CLIENT_ERRORS[error.code ?? ''] ?? [
    400,
    'this is no valid HTTP request'
  ]
  refuseSocket(socket, status, { code: 'CLIENT_ERROR', message })
}

/** Writes an error as a complete HTTP response to a TCP socket that has no Fastify reply, and closes the socket. */
export function refuseSocket(
  socket: Duplex,
  status: number,
  { code, message }: { code: ErrorCode; message: string },
  ...headers: string[]
): void {
  const json = JSON.stringify(bodyOf(status, code, message))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(json)}`,
    'Connection: close',
    ...headers
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${json}`, () => socket.destroy())
}

export default fp(errors, { name: 'errors' })
