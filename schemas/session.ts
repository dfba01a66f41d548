import { type Static, Type } from '@sinclair/typebox'
import { Id, Timestamp } from './scalars.ts'

const SessionId = Id('id of the session')

export const SessionInfo = Type.Object(
  {
    id: SessionId,
    createdAt: Timestamp('when they signed in'),
    lastUsedAt: Timestamp('when they signed in or last refreshed'),
    ip: Type.String({ description: 'from where it was last used', examples: ['192.0.2.7'] }),
    userAgent: Type.String({ description: 'and with what', examples: ['Mozilla/5.0'] }),
    current: Type.Boolean({ description: 'is it the one that asks?', examples: [true] })
  },
  { title: 'Session', description: 'Somewhere a user is signed in' }
)
export type SessionInfo = Static<typeof SessionInfo>

export const Sessions = Type.Object(
  { sessions: Type.Array(SessionInfo) },
  { description: 'The sessions, the last used first' }
)

export const SessionParams = Type.Object({ sessionId: SessionId })
