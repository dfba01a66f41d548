import { type TProperties, type TSchema, Type } from '@sinclair/typebox'
import { Change, ChangeKind } from './change.ts'
import { Checklist } from './checklist.ts'
import { Role } from './project.ts'
import { Id, OneOf } from './scalars.ts'

const data = (description: string, fields: TProperties) =>
  Type.Object(fields, { additionalProperties: false, description })

const Reason = (...reasons: string[]) =>
  OneOf(reasons, { description: 'reason', examples: reasons.slice(0, 1) })

const ProjectId = Id('id of the project')
const ProjectName = data('A project', {
  id: ProjectId,
  name: Type.Optional(
    Type.String({
      description: 'name of the project; absent when the project was deleted',
      examples: ['Summer fair']
    })
  )
})

const { actorId, opId, source, at, itemId, before, after } = Change.properties
const trace = { actorId, opId, source, at }
const Kind = (type: string) =>
  Type.Literal(type, { description: 'type of the event, the same as `event`' })

const projectEvent = (type: string, description: string) =>
  data(description, {
    type: Kind(type),
    projectId: ProjectId,
    project: ProjectName,
    before: Type.Optional(ProjectName),
    after: Type.Optional(ProjectName),
    ...trace
  })

const memberEvent = (type: string, description: string) =>
  data(description, {
    type: Kind(type),
    projectId: ProjectId,
    userId: Id('id of the member'),
    role: Role,
    project: ProjectName,
    ...trace
  })

const checklistEvent = (type: string) =>
  data('A checklist was changed', {
    type: Kind(type),
    projectId: ProjectId,
    checklistId: Id('id of the checklist'),
    rev: Change.properties.rev,
    itemId,
    before,
    after,
    ...trace
  })

/** The schemas of `data` for all events that `GET /events` sends, by `event`. */
export const FeedEvents: Record<string, TSchema> = {
  ready: data('The first event of every stream', {
    userId: Id('id of the user whose events are sent'),
    epoch: Checklist.properties.epoch
  }),
  heartbeat: data('Sent at least every 20 s; its `id` is the newest cursor', {}),
  reset: data(
    'The stream cannot resume after the cursor, so events are missing: load all data again. The stream continues live',
    {
      reason: Reason('unknown', 'expired', 'restored')
    }
  ),
  'session.ended': data('The session has ended, and this is the last event of the stream', {
    reason: Reason(
      'signed_out',
      'reused',
      'replaced',
      'evicted',
      'revoked',
      'password_changed',
      'expired',
      'account_deleted'
    )
  }),
  'project.created': projectEvent('project.created', 'A project was created; sent to its creator'),
  'project.updated': projectEvent('project.updated', 'A project was renamed'),
  'project.deleted': projectEvent('project.deleted', 'A project was deleted, with its checklists'),
  'member.added': memberEvent('member.added', 'A user was added to a project'),
  'member.updated': memberEvent('member.updated', 'The role of a member was changed'),
  'member.removed': memberEvent(
    'member.removed',
    'A member was removed from a project or left it; for this user it is the last event of the project'
  ),
  ...Object.fromEntries(ChangeKind.enum.map((kind: string) => [kind, checklistEvent(kind)]))
}
