import type { FastifyError } from 'fastify'
import { BadRequest, BadToken, Busy, DatabaseAway, LastOwner } from '../errors.ts'
import { isLockTimeout } from './locks.ts'

const UNREACHABLE = new Set([
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

/** The refusals of constraints that a client can violate. */
const VIOLATED: Record<string, new () => FastifyError> = {
  project_members_last_owner: LastOwner,
  // The account was deleted while it created a project.
  project_members_user_id_fkey: BadToken
}

/**
 * Returns the refusal that an error of PostgreSQL, or of the connection to it, means to a client. Returns every other error
 * as it is. The classes of codes are those of appendix A of PostgreSQL's manual.
 */
export function refusalOf(error: FastifyError): FastifyError {
  const code = error.code ?? ''
  // An error with a status comes from the client's connection: it vanished while it sent a body.
  if (UNREACHABLE.has(code) && error.statusCode === undefined) return new DatabaseAway()
  if (error.name !== 'PostgresError') return error
  const Violated = VIOLATED[(error as { constraint_name?: string }).constraint_name ?? '']
  if (Violated) return new Violated()
  if (isLockTimeout(error)) return new Busy()
  // 08 connection, 53 resources, 57 operator intervention, 40 and 55 a conflict with another transaction, after retries
  if (/^(08|53|57|40|55)/.test(code)) return new DatabaseAway()
  // 22 a value of the wrong form, 23514 a check constraint
  if (/^22|^23514/.test(code))
    return new BadRequest('a value cannot be stored: check its form and size')
  return error
}
