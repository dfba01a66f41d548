/**
 * What a person reads when the service does not start: one sentence. Only a mistake of ours, which
 * is none of the person's doing, brings its stack.
 */
export function startFailure(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  if (MISTAKES.some(Mistake => thrown instanceof Mistake)) return thrown.stack ?? thrown.message
  const { message, code } = thrown as NodeJS.ErrnoException
  const reason = message || code || thrown.name
  if (CONNECT.has(code ?? '')) return `the database cannot be reached, see DATABASE_URL: ${reason}`
  if (code === 'EADDRINUSE') return `PORT is taken by another process: ${reason}`
  return reason
}

const MISTAKES = [TypeError, ReferenceError, SyntaxError, RangeError]

const CONNECT = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'CONNECT_TIMEOUT',
  'CONNECTION_CLOSED'
])
