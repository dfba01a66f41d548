import create from '@fastify/error'
import type { ErrorCode } from '../schemas/error.ts'

const createError = (code: ErrorCode, message: string, status: number) =>
  create(code, message, status)

export const RouteNotFound = createError('ROUTE_NOT_FOUND', 'there is no %s %s: see /docs', 404)
export const MethodNotAllowed = createError(
  'METHOD_NOT_ALLOWED',
  'there is no %s %s: the header Allow lists the methods of this path',
  405
)
export const BadRequest = createError('BAD_REQUEST', '%s', 400)
export const EmailTaken = createError(
  'EMAIL_TAKEN',
  'an account with this email exists: sign in instead',
  409
)
export const BadCredentials = createError('BAD_CREDENTIALS', 'email or password is wrong', 401)
export const WrongPassword = createError('WRONG_PASSWORD', 'the password is wrong', 401)
export const TooOften = createError(
  'TOO_OFTEN',
  'too many attempts: try again after the seconds in the header Retry-After',
  429
)
export const NoToken = createError(
  'NO_TOKEN',
  'the access token is missing: send Authorization: Bearer <access token>',
  401
)
export const BadToken = createError(
  'BAD_TOKEN',
  'the access token is not valid: sign in again',
  401
)
export const TokenExpired = createError(
  'TOKEN_EXPIRED',
  'the access token has expired: get a new one with POST /auth/refresh',
  403
)
export const NoCookie = createError(
  'NO_REFRESH_COOKIE',
  'the refresh cookie is missing: sign in',
  401
)
export const BadRefresh = createError(
  'BAD_REFRESH_TOKEN',
  'the refresh token is not valid: sign in again',
  403
)
export const SessionNotFound = createError(
  'SESSION_NOT_FOUND',
  'you have no session with this id',
  404
)
export const ForeignOrigin = createError(
  'FOREIGN_ORIGIN',
  'this origin is not allowed: add it to ALLOWED_ORIGINS',
  403
)
export const Forbidden = createError(
  'FORBIDDEN',
  'your role in this project does not allow this',
  403
)
export const UserNotFound = createError('USER_NOT_FOUND', 'no account has this email', 404)
export const ProjectNotFound = createError(
  'PROJECT_NOT_FOUND',
  'you have no project with this id',
  404
)
export const MemberNotFound = createError(
  'MEMBER_NOT_FOUND',
  'this project has no such member',
  404
)
export const ChecklistNotFound = createError(
  'CHECKLIST_NOT_FOUND',
  'you have no checklist with this id',
  404
)
export const ChecklistDeleted = createError(
  'CHECKLIST_DELETED',
  'this checklist was deleted: the operation list.restore restores it',
  410
)
export const Compacted = createError(
  'COMPACTED',
  'these changes are not stored any more: get the checklist again',
  410
)
export const AlreadyMember = createError(
  'ALREADY_MEMBER',
  'this user is a member of the project already',
  409
)
export const LastOwner = createError(
  'LAST_OWNER',
  'a project needs an owner: make another member owner first',
  409
)
export const TooManyStreams = createError(
  'TOO_MANY_STREAMS',
  'you already have %s open streams: close one first, or share one between tabs',
  429
)
export const TooManySockets = createError(
  'TOO_MANY_SOCKETS',
  'you already have %s open sockets: close one first; one socket can open many checklists',
  429
)
export const TooBusy = createError(
  'TOO_BUSY',
  'too many concurrent requests of this kind: try again soon',
  503
)
export const Busy = createError(
  'BUSY',
  'another transaction has locked the data to change: nothing was written, try again soon',
  503
)
export const DatabaseUnavailable = createError(
  'DATABASE_UNAVAILABLE',
  'the database cannot be reached: try again soon',
  503
)
export const UpgradeRequired = createError(
  'UPGRADE_REQUIRED',
  'this route needs a WebSocket: connect with ws:// or wss://',
  426
)
