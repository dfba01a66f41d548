import { type Static, Type } from '@sinclair/typebox'
import { Next } from './page.ts'
import { Id, Line, OneOf, Timestamp } from './scalars.ts'

export const ProjectId = Id('id of the project')
export const ProjectName = Line('Name of the project', 'Summer fair')

export const Role = OneOf(['owner', 'editor', 'viewer'], {
  description: 'an owner may do everything, an editor change checklists, a viewer read',
  examples: ['editor']
})
export type Role = Static<typeof Role>

export const Project = Type.Object(
  {
    id: ProjectId,
    name: ProjectName,
    role: Role,
    createdAt: Timestamp('when the project was created')
  },
  {
    title: 'Project',
    additionalProperties: false,
    description: 'A project, with the role of whoever asks'
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
  { additionalProperties: false, description: 'What is said of a project' }
)

export const ProjectParams = Type.Object({ projectId: ProjectId })
