import { STATUS_CODES } from 'node:http'
import type { FastifyError } from 'fastify'
import { type ErrorBody, ErrorCode } from '../schemas/error.ts'

/**
 * An error with a status for the client. `retryAfter` is the number of seconds after which a retry makes sense;
 * `headers` are added to the response.
 */
export type Refusal = FastifyError & { retryAfter?: number; headers?: Record<string, string> }

/** The seconds that a client should wait after a response with status 503. */
const RETRY_AFTER = 2

const codes = new Set<string>(ErrorCode.enum)

/**
 * Returns the body of an error for HTTP and sockets, and `retryAfter` in seconds if a retry makes sense. For an
 * internal error the body does not contain the cause.
 */
export function describeError({
  statusCode: status = 500,
  code = '',
  message,
  retryAfter
}: Refusal) {
  const statusCode = status >= 400 && status <= 599 ? status : 500
  return {
    body: bodyOf(statusCode, code, message),
    retryAfter: retryAfter ?? (statusCode === 503 ? RETRY_AFTER : undefined)
  }
}

/** Returns the body of an error. `statusCode` must be between 400 and 599. */
export function bodyOf(statusCode: number, code: string, message: string): ErrorBody {
  const error = STATUS_CODES[statusCode] ?? 'Error'
  if (statusCode >= 500 && statusCode !== 503) {
    return { statusCode, code: 'INTERNAL', error, message: 'something went wrong on our side' }
  }
  return { statusCode, code: isErrorCode(code) ? code : 'ERROR', error, message }
}

/** Returns whether a code is one of the service's codes. Errors of libraries have other codes. */
function isErrorCode(code: string): code is ErrorCode {
  return codes.has(code)
}
