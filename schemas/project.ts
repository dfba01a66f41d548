import { type Static, Type } from '@sinclair/typebox'
import { Next } from './page.ts'
import { Id, Line, OneOf, Timestamp } from './scalars.ts'

export const ProjectId = Id('id of the project')
export const ProjectName = Line('Name of the project', 'Summer fair')

export const Role = OneOf(['owner', 'editor', 'viewer'], {
  description:
    'role of a member: owners may do everything, editors change checklists, viewers only read',
  examples: ['editor']
})
export type Role = Static<typeof Role>

export const Project = Type.Object(
  {
    id: ProjectId,
    name: ProjectName,
    role: Role,
    createdAt: Timestamp('time of creation')
  },
  {
    title: 'Project',
    additionalProperties: false,
    description: 'A project, with the role of the current user'
  }
)
export type Project = Static<typeof Project>

export const Projects = Type.Object(
  { projects: Type.Array(Project), next: Next },
  { additionalProperties: false, description: 'A page of projects, the oldest first' }
)
export type Projects = Static<typeof Projects>

export const ProjectBody = Type.Object(
  { name: ProjectName },
  { additionalProperties: false, description: 'Name of a project' }
)

export const ProjectParams = Type.Object({ projectId: ProjectId })
