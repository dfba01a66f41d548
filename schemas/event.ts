import { type Static, Type } from '@sinclair/typebox'

/** What `GET /events` can be asked. */
export const FeedQuery = Type.Object(
  {
    project: Type.Optional(
      Type.Array(Type.String({ format: 'uuid' }), {
        maxItems: 100,
        description: 'only events of these projects; repeatable'
      })
    ),
    last_event_id: Type.Optional(
      Type.String({
        description: 'the cursor to resume from on a first connect; the header Last-Event-ID wins'
      })
    )
  },
  { additionalProperties: false }
)
export type FeedQuery = Static<typeof FeedQuery>

export const FeedHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({ description: 'the `id` of the last event received: the stream resumes after it' })
  )
})
export type FeedHeaders = Static<typeof FeedHeaders>
