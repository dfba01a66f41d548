import { type Static, Type } from '@sinclair/typebox'
import { maximum } from './limits.ts'
import { Id, wellFormed } from './scalars.ts'

/** The query of `GET /events`. */
export const FeedQuery = Type.Object(
  {
    project: Type.Optional(
      Type.Array(Id('id of a project'), {
        maxItems: maximum.projectsPerStream,
        description:
          'ids of projects: send only their events; repeat the parameter for more than one',
        examples: [['0b9f2b0e-5d4e-4c1c-9a53-3f1a3c9c7d10']]
      })
    ),
    last_event_id: Type.Optional(
      Type.String({
        ...wellFormed,
        description:
          'cursor to resume after, for a first connect; ignored when the header Last-Event-ID is sent',
        examples: ['ce98dd9f6b7a.2rs']
      })
    )
  },
  { additionalProperties: false }
)
export type FeedQuery = Static<typeof FeedQuery>

export const FeedHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({
      ...wellFormed,
      description: '`id` of the last event that was received: the stream resumes after it',
      examples: ['ce98dd9f6b7a.2rs']
    })
  )
})
export type FeedHeaders = Static<typeof FeedHeaders>
