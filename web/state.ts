import { computed } from '@preact/signals'
import { client } from './client.ts'
import { toSignal } from './readable.ts'

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
