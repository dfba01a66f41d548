import { type Static, type TProperties, Type } from '@sinclair/typebox'
import { type ChangeKind, changeFields, changeStates } from './change.ts'
import { Checklist } from './checklist.ts'
import { Role } from './project.ts'
import { Id, OneOf } from './scalars.ts'

const data = <Fields extends TProperties>(description: string, fields: Fields) =>
  Type.Object(fields, { additionalProperties: false, description })

const Reason = <const Word extends string>(...reasons: Word[]) =>
  OneOf(reasons, { description: 'reason', examples: reasons.slice(0, 1) })

const ProjectId = Id('id of the project')
const NamedProject = data('A project', {
  id: ProjectId,
  name: Type.String({ description: 'name of the project', examples: ['Summer fair'] })
})
const DeletedProject = data('A project', {
  id: ProjectId,
  name: Type.Optional(
    Type.String({
      description: 'name of the project; absent when the project was deleted',
      examples: ['Summer fair']
    })
  )
})

const { rev, actorId, opId, source, at } = changeFields
const trace = { actorId, opId, source, at }
const Kind = <const Name extends string>(type: Name) =>
  Type.Literal(type, { description: 'type of the event, the same as `event`' })

const projectEvent = <Name extends string, States extends TProperties>(
  type: Name,
  states: States,
  description: string
) =>
  data(description, {
    type: Kind(type),
    projectId: ProjectId,
    project: NamedProject,
    ...states,
    ...trace
  })

const memberEvent = <Name extends string, Project extends TProperties[string]>(
  type: Name,
  project: Project,
  description: string
) =>
  data(description, {
    type: Kind(type),
    projectId: ProjectId,
    userId: Id('id of the member'),
    role: Role,
    project,
    ...trace
  })

const checklistEvent = <Name extends ChangeKind, States extends TProperties>(
  type: Name,
  states: States
) =>
  data('A checklist was changed', {
    type: Kind(type),
    projectId: ProjectId,
    checklistId: Id('id of the checklist'),
    rev,
    ...states,
    ...trace
  })

/** The schemas of `data` for all events that `GET /events` sends, by `event`. */
export const FeedEvents = {
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
  'project.created': projectEvent(
    'project.created',
    { after: NamedProject },
    'A project was created; sent to its creator'
  ),
  'project.updated': projectEvent(
    'project.updated',
    { before: NamedProject, after: NamedProject },
    'A project was renamed'
  ),
  'project.deleted': projectEvent(
    'project.deleted',
    { before: NamedProject },
    'A project was deleted, with its checklists'
  ),
  'member.added': memberEvent('member.added', NamedProject, 'A user was added to a project'),
  'member.updated': memberEvent('member.updated', NamedProject, 'The role of a member was changed'),
  'member.removed': memberEvent(
    'member.removed',
    DeletedProject,
    'A member was removed from a project or left it; for this user it is the last event of the project'
  ),
  'item.added': checklistEvent('item.added', changeStates['item.added']),
  'item.updated': checklistEvent('item.updated', changeStates['item.updated']),
  'item.deleted': checklistEvent('item.deleted', changeStates['item.deleted']),
  'checklist.created': checklistEvent('checklist.created', changeStates['checklist.created']),
  'checklist.updated': checklistEvent('checklist.updated', changeStates['checklist.updated']),
  'checklist.deleted': checklistEvent('checklist.deleted', changeStates['checklist.deleted']),
  'checklist.restored': checklistEvent('checklist.restored', changeStates['checklist.restored']),
  'conflict.opened': checklistEvent('conflict.opened', changeStates['conflict.opened']),
  'conflict.updated': checklistEvent('conflict.updated', changeStates['conflict.updated']),
  'conflict.resolved': checklistEvent('conflict.resolved', changeStates['conflict.resolved'])
}
export type FeedEvents = { [Name in keyof typeof FeedEvents]: Static<(typeof FeedEvents)[Name]> }
