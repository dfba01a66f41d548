import { STATUS_CODES } from 'node:http'
import type { FastifyError } from 'fastify'
import { type ErrorBody, ErrorCode } from '../schemas/error.ts'

/** A refusal may carry the seconds after which a retry makes sense, and headers for its response. */
export type Refusal = FastifyError & { retryAfter?: number; headers?: Record<string, string> }

/** How long a client waits before it retries when the service cannot respond, seconds. */
const RETRY_AFTER = 2

const codes = new Set<string>(ErrorCode.enum)

/**
 * Returns the body of an error for HTTP and sockets, and the seconds after which a retry makes sense, if it does. A fault of
 * the service reveals nothing of its cause.
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

/** Returns the body of an error with a status of 400–599. */
export function bodyOf(statusCode: number, code: string, message: string): ErrorBody {
  const error = STATUS_CODES[statusCode] ?? 'Error'
  if (statusCode >= 500 && statusCode !== 503) {
    return { statusCode, code: 'INTERNAL', error, message: 'something went wrong on our side' }
  }
  return { statusCode, code: isErrorCode(code) ? code : 'ERROR', error, message }
}

/** Returns whether a code is in the catalogue: the errors of libraries have codes of their own. */
function isErrorCode(code: string): code is ErrorCode {
  return codes.has(code)
}
