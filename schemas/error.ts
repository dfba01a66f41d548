import { type Static, Type } from '@sinclair/typebox'
import { OneOf } from './scalars.ts'

/** Every `code` of an error, over HTTP and on sockets. A new code must be added here and in lib/errors.ts. */
export const ErrorCode = OneOf(
  [
    // requests without a route
    'CLIENT_ERROR',
    'FST_ERR_BAD_URL',
    'FST_ERR_MAX_PARAM_LENGTH',
    'ROUTE_NOT_FOUND',
    'METHOD_NOT_ALLOWED',
    'UPGRADE_REQUIRED',
    'BAD_HANDSHAKE',
    // bodies, parameters and messages
    'FST_ERR_VALIDATION',
    'FST_ERR_CTP_BODY_TOO_LARGE',
    'FST_ERR_CTP_EMPTY_JSON_BODY',
    'FST_ERR_CTP_INVALID_CONTENT_LENGTH',
    'FST_ERR_CTP_INVALID_JSON_BODY',
    'FST_ERR_CTP_INVALID_MEDIA_TYPE',
    'BAD_REQUEST',
    'BAD_MESSAGE',
    // accounts and sessions
    'EMAIL_TAKEN',
    'BAD_CREDENTIALS',
    'WRONG_PASSWORD',
    'NO_TOKEN',
    'BAD_TOKEN',
    'TOKEN_EXPIRED',
    'NO_REFRESH_COOKIE',
    'BAD_REFRESH_TOKEN',
    'SESSION_NOT_FOUND',
    'FOREIGN_ORIGIN',
    // projects and checklists
    'FORBIDDEN',
    'USER_NOT_FOUND',
    'PROJECT_NOT_FOUND',
    'MEMBER_NOT_FOUND',
    'CHECKLIST_NOT_FOUND',
    'CHECKLIST_DELETED',
    'COMPACTED',
    'ALREADY_MEMBER',
    'LAST_OWNER',
    // limits
    'TOO_OFTEN',
    'TOO_MANY_STREAMS',
    'TOO_MANY_SOCKETS',
    'TOO_MANY_CHECKLISTS',
    // states of the service
    'BUSY',
    'TOO_BUSY',
    'DATABASE_UNAVAILABLE',
    'INTERNAL',
    // any other error of a library that refuses a request
    'ERROR'
  ],
  { description: 'stable code of the error, for programs', examples: ['PROJECT_NOT_FOUND'] }
)
export type ErrorCode = Static<typeof ErrorCode>

export const ErrorBody = Type.Object(
  {
    statusCode: Type.Integer({ description: 'HTTP status code', examples: [404] }),
    code: ErrorCode,
    error: Type.String({ description: 'name of the HTTP status', examples: ['Not Found'] }),
    message: Type.String({
      description: 'what went wrong and what to do, for developers; may change',
      examples: ['you have no project with this id']
    })
  },
  { title: 'Error', description: 'The body of every response with a status of 400 or above' }
)
export type ErrorBody = Static<typeof ErrorBody>

/** Returns the error responses of a route, for `response` in its schema: `{ 201: User, ...refusals(400, 409) }`. */
export function refusals<const Status extends number>(...statuses: Status[]) {
  return Object.fromEntries(statuses.map(status => [status, ErrorBody])) as Record<
    Status,
    typeof ErrorBody
  >
}
