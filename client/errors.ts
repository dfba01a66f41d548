import type { ErrorCode } from './types.ts'

/** The error of every call of this library. */
export class ConcordError extends Error {
  override readonly name = 'ConcordError'
  /** stable, for programs. A service of a later version may send codes that this version does not know */
  readonly code: ErrorCode | (string & {})
  /** HTTP status; null when there was no response */
  readonly status: number | null
  /** time after which a retry may succeed, in milliseconds; null when unknown */
  readonly retryAfterMs: number | null

  constructor(
    code: ErrorCode | (string & {}),
    message: string,
    {
      status = null,
      retryAfterMs = null,
      cause
    }: { status?: number | null; retryAfterMs?: number | null; cause?: unknown } = {}
  ) {
    super(message, { cause })
    this.code = code
    this.status = status
    this.retryAfterMs = retryAfterMs
  }
}
