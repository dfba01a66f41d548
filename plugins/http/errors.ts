import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { BadRequest, BadToken, Busy, DatabaseAway, LastOwner } from '../../lib/errors.ts'
import { isLocked } from '../../lib/postgres/locks.ts'
import { type ErrorBody, ErrorCode } from '../../schemas/error.ts'

/** What a client is told to wait when the service cannot answer, seconds. */
const RETRY_AFTER = 2

/** A refusal may carry the seconds that it lasts, and headers of its answer. */
type Refusal = FastifyError & { retryAfter?: number; headers?: Record<string, string> }

export default fp(
  async app => {
    app.setErrorHandler(answerError)
  },
  { name: 'errors' }
)

/** Answers what was thrown; also what Fastify finds wrong before a route is known. */
export function answerError(thrown: FastifyError, request: FastifyRequest, reply: FastifyReply) {
  const error = fromPostgres(thrown)
  const statusCode = isRefusal(error.statusCode) ? error.statusCode : 500
  if (statusCode >= 500) request.log.error({ err: thrown }, 'request failed')
  if (statusCode === 401) reply.header('www-authenticate', 'Bearer') // RFC 9110, 11.6.1
  const retryAfter = retryAfterOf(error)
  reply.headers((error as Refusal).headers ?? {})
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter)
  return reply.code(statusCode).send(body(statusCode, error))
}

/** Returns after how many seconds a client may try again, undefined when that would not help. */
export function retryAfterOf({ statusCode, retryAfter }: Refusal): number | undefined {
  return retryAfter ?? (statusCode === 503 ? RETRY_AFTER : undefined)
}

function isRefusal(status: number | undefined): status is number {
  return status !== undefined && status >= 400 && status <= 599
}

const CLIENT_ERRORS: Record<string, [number, string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request was not complete in time'],
  HPE_HEADER_OVERFLOW: [431, 'the headers are too large'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'the chunk extensions are too large']
}

/** Answers what is no HTTP, for which there is no request and no reply yet. */
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

/** Writes an error as a whole answer to a socket that has no reply, and closes the socket. */
export function refuseSocket(
  socket: Duplex,
  status: number,
  error: { code: ErrorCode; message: string },
  ...headers: string[]
): void {
  const json = JSON.stringify(body(status, error))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(json)}`,
    'Connection: close',
    ...headers
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${json}`, () => socket.destroy())
}

const codes = new Set<string>(ErrorCode.enum)

function body(
  statusCode: number,
  { code = '', message }: { code?: string; message: string }
): ErrorBody {
  const error = STATUS_CODES[statusCode] ?? 'Error'
  // What went wrong inside is for the log; a coded refusal is meant for the client.
  if (statusCode >= 500 && statusCode !== 503) {
    return { statusCode, code: 'INTERNAL', error, message: 'something went wrong on our side' }
  }
  return { statusCode, code: isErrorCode(code) ? code : 'ERROR', error, message }
}

/** Whether a code is in the catalogue: errors of libraries also have codes of their own. */
function isErrorCode(code: string): code is ErrorCode {
  return codes.has(code)
}

const AWAY = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'CONNECT_TIMEOUT',
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED'
])

/** What it means to a client that a constraint refused what they wrote. */
const BROKEN: Record<string, new () => FastifyError> = {
  project_members_last_owner: LastOwner,
  // Their account went while they created a project.
  project_members_user_id_fkey: BadToken
}

/** The one place where a failure of PostgreSQL becomes a status. Classes: appendix A of its manual. */
export function fromPostgres(error: FastifyError): FastifyError {
  const code = error.code ?? ''
  // With a status it is a client that vanished while it sent a body.
  if (AWAY.has(code) && error.statusCode === undefined) return new DatabaseAway()
  if (error.name !== 'PostgresError') return error
  const Broken = BROKEN[(error as { constraint_name?: string }).constraint_name ?? '']
  if (Broken) return new Broken()
  if (isLocked(error)) return new Busy()
  // 08 connection, 53 resources, 57 operator intervention, 40 and 55 lost a race too often
  if (/^(08|53|57|40|55)/.test(code)) return new DatabaseAway()
  // 22 a value of the wrong form, 23514 one that a check refuses
  if (/^22|^23514/.test(code))
    return new BadRequest('a value cannot be stored: check its form and size')
  return error
}
