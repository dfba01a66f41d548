import { computed, signal } from '@preact/signals'

export type Route =
  | { name: 'projects' }
  | { name: 'project'; id: string }
  | { name: 'list'; id: string }
  | { name: 'account' }
  | { name: 'unknown' }

const hash = signal(location.hash)

/** whether the user has opened another screen since the page was loaded */
let hasNavigated = false

addEventListener('hashchange', () => {
  hasNavigated = true
  hash.value = location.hash
})

export const route = computed(() => routeOf(hash.value))

export function routeOf(hash: string): Route {
  const [, first = '', id = '', ...rest] = hash.replace(/^#?\/?/, '/').split('/')
  if (rest.length > 0) return { name: 'unknown' }
  if (first === '') return { name: 'projects' }
  if (first === 'account' && !id) return { name: 'account' }
  if (first === 'projects' && id) return { name: 'project', id: decodeURIComponent(id) }
  if (first === 'lists' && id) return { name: 'list', id: decodeURIComponent(id) }
  return { name: 'unknown' }
}

export const href = {
  projects: () => '#/',
  project: (id: string) => `#/projects/${encodeURIComponent(id)}`,
  list: (id: string) => `#/lists/${encodeURIComponent(id)}`,
  account: () => '#/account'
}

export function navigate(to: string) {
  location.hash = to
}

/** Moves the focus to the heading of a screen, but not when the page has just been loaded. */
export function focusHeading(heading: HTMLElement) {
  if (hasNavigated) heading.focus({ preventScroll: true })
  if (hasNavigated) scrollTo(0, 0)
}
