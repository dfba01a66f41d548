import type { FastifyError } from 'fastify'
import { BadRequest, BadToken, Busy, DatabaseUnavailable, LastOwner } from '../errors.ts'
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

/** The error that a client receives when it violates a constraint, by the name of the constraint. */
const VIOLATED: Record<string, new () => FastifyError> = {
  project_members_last_owner: LastOwner,
  // the account was deleted while its user created a project
  project_members_user_id_fkey: BadToken
}

/** Translates an error of PostgreSQL (codes: Appendix A of its manual) or of its connection into one for the client. */
export function refusalOf(error: FastifyError): FastifyError {
  const code = error.code ?? ''
  // An error with a status comes from the connection to the client, which broke while the client sent a body.
  if (UNREACHABLE.has(code) && error.statusCode === undefined) return new DatabaseUnavailable()
  if (error.name !== 'PostgresError') return error
  const Violated = VIOLATED[(error as { constraint_name?: string }).constraint_name ?? '']
  if (Violated) return new Violated()
  if (isLockTimeout(error)) return new Busy()
  // 08 connection, 53 insufficient resources, 57 operator intervention, 40 and 55 conflict with another transaction
  if (/^(08|53|57|40|55)/.test(code)) return new DatabaseUnavailable()
  // 22 invalid value, 23514 violated check constraint
  if (/^22|^23514/.test(code))
    return new BadRequest('a value cannot be stored: check its form and size')
  return error
}
