/** Returns one sentence from which the operator can correct the cause. For a bug, returns the stack. */
export function startFailure(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  if (BUGS.some(Bug => thrown instanceof Bug)) return thrown.stack ?? thrown.message
  const { message, code } = thrown as NodeJS.ErrnoException
  const reason = message || code || thrown.name
  if (CONNECTION_ERRORS.has(code ?? ''))
    return `the database cannot be reached, see DATABASE_URL: ${reason}`
  if (code === 'EADDRINUSE') return `PORT is taken by another process: ${reason}`
  return reason
}

const BUGS = [TypeError, ReferenceError, SyntaxError, RangeError]

const CONNECTION_ERRORS = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'CONNECT_TIMEOUT',
  'CONNECTION_CLOSED'
])
