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

/** The names in events about memberships: of projects that are not loaded yet, or not the user's any more. */
const namesInEvents = signal<ReadonlyMap<string, string>>(new Map())

/** Returns the name of a project, or undefined when it is not known. */
export function projectNameOf(id: string): string | undefined {
  const project = projects.value?.find(project => project.id === id)
  return project?.name ?? namesInEvents.value.get(id)
}

/** Removes the mark of a new project. */
export function markAsSeen(projectId: string) {
  if (!newProjects.peek().has(projectId)) return
  newProjects.value = new Set([...newProjects.peek()].filter(id => id !== projectId))
}

/** Shows a message when another user adds this user to a project, or removes them. */
export function watchMemberships() {
  client.on('member.added', ({ userId, actorId, projectId, project }) => {
    if (userId !== me.peek()?.id) return
    rememberName(project)
    if (actorId === userId) return
    newProjects.value = new Set([...newProjects.peek(), projectId])
    showToast(`You were added to “${isolate(project.name)}”.`, {
      label: 'Open',
      run: () => navigate(href.project(projectId))
    })
  })
  client.on('member.removed', ({ userId, actorId, projectId, project }) => {
    if (userId !== me.peek()?.id) return
    markAsSeen(projectId)
    rememberName(project)
    if (actorId === userId) return
    const name = project.name === undefined ? 'a project' : `“${isolate(project.name)}”`
    showToast(`You were removed from ${name}.`)
  })
  effect(() => {
    if (me.value !== null) return
    newProjects.value = new Set()
    namesInEvents.value = new Map()
  })
}

function rememberName({ id, name }: { id: string; name?: string }) {
  if (name) namesInEvents.value = new Map(namesInEvents.peek()).set(id, name)
}
