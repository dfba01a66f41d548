import { type Static, Type } from '@sinclair/typebox'
import { Conflict } from './conflict.ts'
import { Item } from './item.ts'
import { Next } from './page.ts'
import { ProjectId, Role } from './project.ts'
import { Id, Line, Timestamp } from './scalars.ts'

const ChecklistId = Id('id of the checklist')
export const ChecklistTitle = Line('Title of the checklist', 'To buy')
const ChecklistRev = Type.Integer({
  description: 'revision: number of the newest change of the checklist',
  examples: [17]
})

export const Checklist = Type.Object(
  {
    id: ChecklistId,
    projectId: ProjectId,
    title: ChecklistTitle,
    rev: ChecklistRev,
    epoch: Type.String({
      description: 'id of the database that `rev` belongs to; it changes when a backup is restored',
      examples: ['ce98dd9f6b7a']
    }),
    role: Role,
    items: Type.Array(Item, { description: 'all items, in order' }),
    conflicts: Type.Array(Conflict, { description: 'open conflicts, the oldest first' })
  },
  {
    title: 'Checklist',
    additionalProperties: false,
    description: 'A whole checklist, all of it from one moment'
  }
)
export type Checklist = Static<typeof Checklist>

export const ChecklistSummary = Type.Object(
  {
    id: ChecklistId,
    projectId: ProjectId,
    title: ChecklistTitle,
    rev: ChecklistRev,
    updatedAt: Timestamp('time of the newest change')
  },
  {
    title: 'ChecklistSummary',
    additionalProperties: false,
    description: 'A checklist without its items'
  }
)
export type ChecklistSummary = Static<typeof ChecklistSummary>

export const Checklists = Type.Object(
  { checklists: Type.Array(ChecklistSummary), next: Next },
  { additionalProperties: false, description: 'A page of checklists, the oldest first' }
)
export type Checklists = Static<typeof Checklists>

export const NewChecklist = Type.Object(
  { title: ChecklistTitle },
  { additionalProperties: false, description: 'Data of a new checklist' }
)

export const ChecklistParams = Type.Object({ checklistId: ChecklistId })
