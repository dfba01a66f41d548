import { type Static, Type } from '@sinclair/typebox'
import { OneOf } from './scalars.ts'

export const Liveness = Type.Object(
  { status: OneOf(['ok'], { description: 'the process answers', examples: ['ok'] }) },
  { additionalProperties: false, description: 'The process is alive' }
)

export const Readiness = Type.Object(
  {
    status: OneOf(['ready', 'unavailable', 'draining'], {
      description: 'whether requests should be sent here',
      examples: ['ready']
    }),
    database: OneOf(['up', 'down'], {
      description: 'whether the database answers in time',
      examples: ['up']
    }),
    listener: OneOf(['up', 'polling', 'down'], {
      description:
        'how live events come: at once, by LISTEN; by polling, four times a second, while that is not heard; ' +
        'or not at all, while the log cannot be read',
      examples: ['up']
    }),
    lag: Type.Integer({
      minimum: 0,
      description:
        'events that were committed and not yet delivered by this node, at its last look',
      examples: [0]
    })
  },
  { additionalProperties: false, description: 'What this node needs to serve requests' }
)
export type Readiness = Static<typeof Readiness>
