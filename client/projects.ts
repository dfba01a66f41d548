import { createLiveRows, type LiveParts, type LiveRows } from './live.ts'
import type { ChecklistSummary, Client, Member, Project, ProjectHandle } from './types.ts'

/** Returns the part of a client that is about projects. */
export function createProjects(
  parts: LiveParts
): Pick<Client, 'projects' | 'createProject' | 'project'> {
  const { request } = parts.session
  const handles = new Map<string, ProjectHandle>()

  const projects: LiveRows<Project> = createLiveRows(parts, {
    path: '/projects',
    field: 'projects',

    apply(rows, event, userId) {
      switch (event.type) {
        case 'member.added':
        case 'member.updated':
          if (event.userId !== userId) return rows
          return hasRow(rows, 'id', event.projectId)
            ? changeRow(rows, 'id', event.projectId, { role: event.role })
            : null
        case 'member.removed':
          return event.userId === userId ? removeRow(rows, 'id', event.projectId) : rows
        case 'project.updated':
          return changeRow(rows, 'id', event.projectId, { name: event.project.name })
        case 'project.deleted':
          return removeRow(rows, 'id', event.projectId)
        default:
          return rows
      }
    }
  })

  return {
    projects,

    async createProject(name, call) {
      const project = await request<Project>('POST', '/projects', { ...call, body: { name } })
      projects.update(rows => addRow(rows, 'id', project))
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

      apply(rows, event, userId) {
        if (!('projectId' in event) || event.projectId !== id) return rows
        switch (event.type) {
          case 'member.added':
          case 'member.updated':
            // The event lacks the email.
            return hasRow(rows, 'userId', event.userId)
              ? changeRow(rows, 'userId', event.userId, { role: event.role })
              : null
          case 'member.removed':
            return event.userId === userId ? null : removeRow(rows, 'userId', event.userId)
          case 'project.deleted':
            return null
          default:
            return rows
        }
      }
    })
    const checklists = createLiveRows<ChecklistSummary>(parts, {
      path: `${url}/checklists`,
      field: 'checklists',

      apply(rows, event, userId) {
        if (!('projectId' in event) || event.projectId !== id) return rows
        if (!('checklistId' in event)) {
          const isAboutAccess = event.type === 'project.deleted' || isMembership(event, userId)
          return isAboutAccess ? null : rows
        }
        const { checklistId, rev, at: updatedAt } = event
        const known = rows.find(row => row.id === checklistId)
        if (known && known.rev >= rev) return rows
        switch (event.type) {
          case 'checklist.created': {
            const { title } = event.after
            return addRow(rows, 'id', { id: checklistId, projectId: id, title, rev, updatedAt })
          }
          // Restored, it is somewhere in the middle of the list: the order is that of the creation.
          case 'checklist.restored':
            return null
          case 'checklist.deleted':
            return removeRow(rows, 'id', checklistId)
          case 'checklist.updated': {
            const { title } = event.after
            return changeRow(rows, 'id', checklistId, { title, rev, updatedAt })
          }
          default:
            return changeRow(rows, 'id', checklistId, { rev, updatedAt })
        }
      }
    })

    return {
      members,
      checklists,

      async rename(name, call) {
        const project = await request<Project>('PATCH', url, { ...call, body: { name } })
        projects.update(rows => changeRow(rows, 'id', id, project))
        return project
      },

      async delete(call) {
        await request('DELETE', url, call)
        projects.update(rows => removeRow(rows, 'id', id))
      },

      async createChecklist(title, call) {
        const options = { ...call, body: { title } }
        const checklist = await request<ChecklistSummary>('POST', `${url}/checklists`, options)
        checklists.update(rows => addRow(rows, 'id', checklist))
        return checklist
      },

      async addMember(email, role, call) {
        const options = { ...call, body: { email, role } }
        const member = await request<Member>('POST', `${url}/members`, options)
        members.update(rows => addRow(rows, 'userId', member))
        return member
      },

      async setRole(userId, role, call) {
        const member = await request<Member>('PATCH', memberUrl(userId), {
          ...call,
          body: { role }
        })
        members.update(rows => changeRow(rows, 'userId', member.userId, member))
        return member
      },

      async removeMember(userId, call) {
        await request('DELETE', memberUrl(userId), call)
        members.update(rows => removeRow(rows, 'userId', userId.toLowerCase()))
      }
    }
  }
}

type Key<Row> = keyof Row & string

function hasRow<Row>(rows: readonly Row[], key: Key<Row>, id: unknown): boolean {
  return rows.some(row => row[key] === id)
}

function addRow<Row>(rows: readonly Row[], key: Key<Row>, row: Row): readonly Row[] {
  return hasRow(rows, key, row[key]) ? rows : [...rows, row]
}

function removeRow<Row>(rows: readonly Row[], key: Key<Row>, id: unknown): readonly Row[] {
  return hasRow(rows, key, id) ? rows.filter(row => row[key] !== id) : rows
}

function changeRow<Row>(
  rows: readonly Row[],
  key: Key<Row>,
  id: unknown,
  change: Partial<Row>
): readonly Row[] {
  if (!hasRow(rows, key, id)) return rows
  return rows.map(row => (row[key] === id ? { ...row, ...change } : row))
}

function isMembership(event: { type: string; userId?: string }, userId: string): boolean {
  return event.type.startsWith('member.') && event.userId === userId
}
