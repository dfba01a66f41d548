import { type Static, Type } from '@sinclair/typebox'

export const ErrorBody = Type.Object(
  {
    statusCode: Type.Integer({ description: 'the HTTP status', examples: [404] }),
    code: Type.String({ description: 'stable, for programs', examples: ['PROJECT_NOT_FOUND'] }),
    error: Type.String({ description: 'name of the status', examples: ['Not Found'] }),
    message: Type.String({
      description: 'what went wrong and what to do, for people',
      examples: ['no such project']
    })
  },
  { title: 'Error', description: 'Every answer of 400 and above' }
)
export type ErrorBody = Static<typeof ErrorBody>

/** The part of a route's `response` that lists its refusals: `{ 201: User, ...refusals(400, 409) }`. */
export function refusals<const Status extends number>(...statuses: Status[]) {
  return Object.fromEntries(statuses.map(status => [status, ErrorBody])) as Record<
    Status,
    typeof ErrorBody
  >
}
