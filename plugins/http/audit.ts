import { hash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyRequest {
    /** Logs one line about an account. The line never contains a password, a token or the email of a request. */
    audit(event: AuditEvent, about?: { userId?: string; sessionId?: string }): void
  }
}

const levels = {
  'account.created': 'info',
  'account.deleted': 'info',
  'password.changed': 'info',
  'password.wrong': 'warn',
  'password.unreadable': 'error',
  'session.started': 'info',
  'session.refreshed': 'info',
  'session.reused': 'warn',
  'session.ended': 'info',
  throttled: 'warn'
} as const
export type AuditEvent = keyof typeof levels

async function audit(app: FastifyInstance) {
  app.decorateRequest('audit', function (this: FastifyRequest, event, { userId, sessionId } = {}) {
    // A hash groups the lines of one session without revealing its id in the log.
    const session = sessionId && hash('sha256', sessionId).slice(0, 16)
    this.log[levels[event]]({ event, userId, session, ip: this.ip }, event)
  })
}

export default fp(audit, { name: 'audit' })
