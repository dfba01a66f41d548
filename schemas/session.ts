import { type Static, Type } from '@sinclair/typebox'
import { Id, Timestamp } from './scalars.ts'

const SessionId = Id('id of the session')

export const Session = Type.Object(
  {
    id: SessionId,
    createdAt: Timestamp('time of the sign-in'),
    lastUsedAt: Timestamp('time of the last refresh, or of the sign-in'),
    ip: Type.String({
      description: 'IP address of the last refresh or the sign-in',
      examples: ['192.0.2.7']
    }),
    userAgent: Type.String({
      description: 'User-Agent header of the last refresh or the sign-in',
      examples: ['Mozilla/5.0']
    }),
    current: Type.Boolean({
      description: 'whether this is the session of the request',
      examples: [true]
    })
  },
  { title: 'Session', description: 'A session: one device or browser where the user is signed in' }
)
export type Session = Static<typeof Session>

export const Sessions = Type.Object(
  { sessions: Type.Array(Session) },
  { description: 'The sessions of the current user, the last used first' }
)

export const SessionParams = Type.Object({ sessionId: SessionId })
