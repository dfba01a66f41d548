import { type Static, Type } from '@sinclair/typebox'

export const ErrorBody = Type.Object(
  {
    statusCode: Type.Integer({ description: 'the HTTP status' }),
    code: Type.String({ description: 'stable, for programs' }),
    error: Type.String({ description: 'name of the status' }),
    message: Type.String({ description: 'what went wrong and what to do, for people' })
  },
  { $id: 'Error', description: 'Every answer of 400 and above' }
)
export type ErrorBody = Static<typeof ErrorBody>
