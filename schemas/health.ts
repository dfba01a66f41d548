import { type Static, Type } from '@sinclair/typebox'
import { OneOf } from './scalars.ts'

export const Liveness = Type.Object(
  {
    status: OneOf(['ok'], { description: 'always ok', examples: ['ok'] }),
    version: Type.String({ description: 'version of the service', examples: ['0.1.0'] })
  },
  { additionalProperties: false, description: 'The process is running' }
)

export const Readiness = Type.Object(
  {
    status: OneOf(['ready', 'unavailable', 'draining'], {
      description: 'whether this node can serve requests; draining: it is shutting down',
      examples: ['ready']
    }),
    database: OneOf(['up', 'down'], {
      description: 'up: the database executed a query within 1 s',
      examples: ['up']
    }),
    listener: OneOf(['up', 'polling', 'down'], {
      description:
        'how this node receives live events. up: at once, through LISTEN; polling: LISTEN does not work, so it reads ' +
        'the log four times a second; down: the log cannot be read',
      examples: ['up']
    }),
    lag: Type.Integer({
      minimum: 0,
      description:
        'number of events that were committed but not yet delivered by this node when it last read the log',
      examples: [0]
    })
  },
  {
    additionalProperties: false,
    description: 'Whether this node can serve requests, and the state of its parts'
  }
)
export type Readiness = Static<typeof Readiness>
