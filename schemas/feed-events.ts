import { type TProperties, type TSchema, Type } from '@sinclair/typebox'
import { Change, ChangeKind } from './change.ts'
import { Checklist } from './checklist.ts'
import { Role } from './project.ts'
import { Id, OneOf } from './scalars.ts'

const data = (description: string, fields: TProperties) =>
  Type.Object(fields, { additionalProperties: false, description })

const Reason = (...reasons: string[]) =>
  OneOf(reasons, { description: 'why', examples: reasons.slice(0, 1) })

const ProjectId = Id('the project')
const ProjectName = data('The project', {
  id: ProjectId,
  name: Type.Optional(
    Type.String({ description: 'absent when it was deleted', examples: ['Summer fair'] })
  )
})

const { actorId, opId, source, at, itemId, before, after } = Change.properties
const trace = { actorId, opId, source, at }
const Kind = (type: string) => Type.Literal(type, { description: 'the same as `event`' })

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
    userId: Id('the member'),
    role: Role,
    project: ProjectName,
    ...trace
  })

const checklistEvent = (type: string) =>
  data('A change of a checklist', {
    type: Kind(type),
    projectId: ProjectId,
    checklistId: Id('the checklist'),
    rev: Change.properties.rev,
    itemId,
    before,
    after,
    ...trace
  })

/** The `data` of everything that `GET /events` sends, by its `event`. */
export const FeedEvents: Record<string, TSchema> = {
  ready: data('The stream is open', {
    userId: Id('whose events these are'),
    epoch: Checklist.properties.epoch
  }),
  heartbeat: data('Nothing happened lately; its `id` is the newest cursor', {}),
  reset: data('Events are missing: fetch again what is on screen. The stream goes on live', {
    reason: Reason('unknown', 'expired', 'restored')
  }),
  'session.ended': data('The last event: the session is over', {
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
  'project.created': projectEvent('project.created', 'A new project, for who created it'),
  'project.updated': projectEvent('project.updated', 'A project has another name'),
  'project.deleted': projectEvent('project.deleted', 'A project and all in it is gone'),
  'member.added': memberEvent('member.added', 'Somebody came into a project'),
  'member.updated': memberEvent('member.updated', 'A member has another role'),
  'member.removed': memberEvent('member.removed', 'A member is gone; to them, their last event'),
  ...Object.fromEntries(ChangeKind.enum.map((kind: string) => [kind, checklistEvent(kind)]))
}
