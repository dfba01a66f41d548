import { STATUS_CODES } from 'node:http'
import type { FastifyError } from 'fastify'
import { type ErrorBody, ErrorCode } from '../schemas/error.ts'

/** An error for a client. `retryAfter` is in seconds; `headers` are added to the response. */
export type Refusal = FastifyError & { retryAfter?: number; headers?: Record<string, string> }

/** in seconds, for status 503 */
const RETRY_AFTER = 2

const codes = new Set<string>(ErrorCode.enum)

/** Returns the body of an error, without the cause of an internal error, and `retryAfter` in seconds. */
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

// Errors of libraries have other codes.
function isErrorCode(code: string): code is ErrorCode {
  return codes.has(code)
}
