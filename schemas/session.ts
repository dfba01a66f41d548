import { type Static, Type } from '@sinclair/typebox'
import { Id, Timestamp } from './scalars.ts'

const SessionId = Id('of the session')

export const SessionInfo = Type.Object({
  id: SessionId,
  createdAt: Timestamp('when they signed in'),
  lastUsedAt: Timestamp('when they signed in or last refreshed'),
  ip: Type.String({ description: 'from where it was last used', examples: ['192.0.2.7'] }),
  userAgent: Type.String({ description: 'and with what', examples: ['Mozilla/5.0'] }),
  current: Type.Boolean({ description: 'is it the one that asks?' })
})
export type SessionInfo = Static<typeof SessionInfo>

export const Sessions = Type.Object({ sessions: Type.Array(SessionInfo) })

export const SessionParams = Type.Object({ sessionId: SessionId })
