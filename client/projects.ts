import { createLiveRows, type LiveParts, type LiveRows } from './live.ts'
import type { Outbox } from './outbox.ts'
import type { ChecklistSummary, Client, Member, Project, ProjectHandle } from './types.ts'

/** Returns the part of a client that is about projects. */
export function createProjects(
  parts: LiveParts & { outbox: Pick<Outbox, 'projects' | 'saveProjects'> }
): Pick<Client, 'projects' | 'createProject' | 'project'> {
  const { request } = parts.session
  const { outbox } = parts
  const handles = new Map<string, ProjectHandle>()

  const projects: LiveRows<Project> = createLiveRows(parts, {
    path: '/projects',
    field: 'projects',
    key: 'id',
    copy: { load: outbox.projects, save: outbox.saveProjects },

    patch(_, event, userId) {
      switch (event.type) {
        case 'member.added':
        case 'member.updated':
          return event.userId === userId
            ? { change: event.projectId, to: { role: event.role } }
            : undefined
        case 'member.removed':
          return event.userId === userId ? { remove: event.projectId } : undefined
        case 'project.updated':
          return { change: event.projectId, to: { name: event.project.name } }
        case 'project.deleted':
          return { remove: event.projectId }
      }
    }
  })

  return {
    projects,

    async createProject(name, call) {
      const project = await request<Project>('POST', '/projects', { ...call, body: { name } })
      projects.update({ add: project })
      return project
    },

    project(anyCaseId) {
      const id = anyCaseId.toLowerCase()
      const handle = handles.get(id) ?? createHandle(id)
      handles.set(id, handle)
      return handle
    }
  }

  function createHandle(id: string): ProjectHandle {
    const url = `/projects/${encodeURIComponent(id)}`
    const memberUrl = (userId: string) => `${url}/members/${encodeURIComponent(userId)}`
    const members = createLiveRows<Member>(parts, {
      path: `${url}/members`,
      field: 'members',
      key: 'userId',

      patch(_, event, userId) {
        if (!('projectId' in event) || event.projectId !== id) return
        switch (event.type) {
          case 'member.added':
          case 'member.updated':
            return { change: event.userId, to: { role: event.role } }
          case 'member.removed':
            return event.userId === userId ? 'reload' : { remove: event.userId }
          case 'project.deleted':
            return 'reload'
        }
      }
    })
    const checklists = createLiveRows<ChecklistSummary>(parts, {
      path: `${url}/checklists`,
      field: 'checklists',
      key: 'id',

      patch(rows, event, userId) {
        if (!('projectId' in event) || event.projectId !== id) return
        if (!('checklistId' in event)) {
          const isAboutAccess = event.type === 'project.deleted' || isMembership(event, userId)
          return isAboutAccess ? 'reload' : undefined
        }
        const { checklistId, rev, at: updatedAt } = event
        const known = rows.find(row => row.id === checklistId)
        if (known && known.rev >= rev) return
        switch (event.type) {
          case 'checklist.created': {
            const { title } = event.after
            return { add: { id: checklistId, projectId: id, title, rev, updatedAt } }
          }
          // Restored, it is somewhere in the middle of the list: the order is that of the creation.
          case 'checklist.restored':
            return 'reload'
          case 'checklist.deleted':
            return { remove: checklistId }
          case 'checklist.updated': {
            const { title } = event.after
            return { change: checklistId, to: { title, rev, updatedAt } }
          }
          default:
            return { change: checklistId, to: { rev, updatedAt } }
        }
      }
    })

    return {
      members,
      checklists,

      async rename(name, call) {
        const project = await request<Project>('PATCH', url, { ...call, body: { name } })
        projects.update({ change: id, to: project })
        return project
      },

      async delete(call) {
        await request('DELETE', url, call)
        projects.update({ remove: id })
      },

      async createChecklist(title, call) {
        const options = { ...call, body: { title } }
        const checklist = await request<ChecklistSummary>('POST', `${url}/checklists`, options)
        checklists.update({ add: checklist })
        return checklist
      },

      async addMember(email, role, call) {
        const options = { ...call, body: { email, role } }
        const member = await request<Member>('POST', `${url}/members`, options)
        members.update({ add: member })
        return member
      },

      async setRole(userId, role, call) {
        const member = await request<Member>('PATCH', memberUrl(userId), {
          ...call,
          body: { role }
        })
        members.update({ change: member.userId, to: member })
        return member
      },

      async removeMember(userId, call) {
        await request('DELETE', memberUrl(userId), call)
        members.update({ remove: userId.toLowerCase() })
      }
    }
  }
}

function isMembership(event: { type: string; userId?: string }, userId: string): boolean {
  return event.type.startsWith('member.') && event.userId === userId
}
