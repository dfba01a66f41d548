import { computed, signal } from '@preact/signals'

export type Route =
  | { name: 'projects' }
  | { name: 'project'; id: string }
  | { name: 'list'; id: string }
  | { name: 'account' }
  | { name: 'unknown' }

const hash = signal(location.hash)

/** whether the user has opened another screen, whose heading has not been focused yet */
let isOpening = false
let focused: HTMLElement | undefined

addEventListener('hashchange', () => {
  isOpening = true
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

/** Must be called before an action of the user that opens another screen at the same address, such as a sign-in. */
export function expectScreen() {
  isOpening = true
}

/**
 * Moves the focus to the heading of a screen that the user has opened. Does nothing when the page has just been loaded, or
 * when the focus is elsewhere on the screen.
 */
export function focusHeading(heading: HTMLElement) {
  // While it is loaded, a screen has another heading.
  const isReplaced = focused?.isConnected === false && document.activeElement === document.body
  if (!isOpening && !isReplaced) return
  if (isOpening) scrollTo(0, 0)
  isOpening = false
  focused = heading
  heading.focus({ preventScroll: true })
}
