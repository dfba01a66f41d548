import { type Static, Type } from '@sinclair/typebox'
import { OneOf } from './scalars.ts'

export const Liveness = Type.Object(
  { status: OneOf(['ok'], { description: 'the process answers', examples: ['ok'] }) },
  { additionalProperties: false, description: 'The process is alive' }
)

const Part = (description: string) => OneOf(['up', 'down'], { description, examples: ['up'] })

export const Readiness = Type.Object(
  {
    status: OneOf(['ready', 'unavailable', 'draining'], {
      description: 'whether requests should be sent here',
      examples: ['ready']
    }),
    database: Part('whether the database answers in time'),
    listener: Part('whether the LISTEN connection, which brings live events, is heard')
  },
  { additionalProperties: false, description: 'What this node needs to serve requests' }
)
export type Readiness = Static<typeof Readiness>
