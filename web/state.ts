import { computed, effect, signal } from '@preact/signals'
import { client } from './client.ts'
import { showToast } from './parts/toast.tsx'
import { toSignal } from './readable.ts'
import { href, navigate } from './route.ts'
import { isolate } from './text.ts'

export const session = toSignal(client.session)
export const connection = toSignal(client.connection)

/** the projects of the user; undefined until they are loaded */
export const projects = toSignal(client.projects)
export const projectsError = toSignal(client.projects.error)

/** the user who is signed in, or null */
export const me = computed(() => {
  const { value } = session
  return value.state === 'signed-in' ? value.user : null
})

/** ids of the projects that others have added this user to since the page was opened, until they are opened */
export const newProjects = signal<ReadonlySet<string>>(new Set())

/** Removes the mark of a new project. */
export function markAsSeen(projectId: string) {
  if (!newProjects.peek().has(projectId)) return
  newProjects.value = new Set([...newProjects.peek()].filter(id => id !== projectId))
}

/** Shows a message when another user adds this user to a project, or removes them. */
export function watchMemberships() {
  client.on('member.added', ({ userId, actorId, projectId, project }) => {
    const isMine = userId === me.peek()?.id && actorId !== userId
    if (!isMine) return
    newProjects.value = new Set([...newProjects.peek(), projectId])
    showToast(`You were added to “${isolate(project.name)}”.`, {
      label: 'Open',
      run: () => navigate(href.project(projectId))
    })
  })
  client.on('member.removed', ({ userId, actorId, projectId, project }) => {
    if (userId !== me.peek()?.id) return
    markAsSeen(projectId)
    if (actorId === userId) return
    const name = project.name === undefined ? 'a project' : `“${isolate(project.name)}”`
    showToast(`You were removed from ${name}.`)
  })
  effect(() => {
    if (me.value === null) newProjects.value = new Set()
  })
}
