import { signal } from '@preact/signals'
import { setting } from './settings.ts'
import { listNames, plural } from './text.ts'

/** minimum time between two sentences about changes of others */
const pauseMs = 5000

/** the changes that screen readers announce: all, only those that concern this user, or none */
export const announcements = setting('announcements', ['all', 'mine', 'none'] as const)

/** the texts of the regions `role=status` and `role=alert` */
export const statusText = signal('')
export const alertText = signal('')

interface RemoteChange {
  name: string
  /** changes of the same subject count once */
  subject: string
  sentence: string
}

let pending: RemoteChange[] = []
let lastAt = Number.NEGATIVE_INFINITY

/** Announces a result of what this user did, such as "Line deleted". */
export function announce(text: string) {
  if (announcements.peek() !== 'none') show(statusText, text)
}

/** Announces what needs this user at once, such as a conflict of theirs. */
export function announceUrgently(text: string) {
  if (announcements.peek() !== 'none') show(alertText, text)
}

/**
 * Announces a change of another user: at most one sentence in five seconds. `sentence` is announced when it is the only
 * change since the last one, otherwise a summary such as "Bob changed 3 lines".
 */
export function announceOthers(change: RemoteChange) {
  if (announcements.peek() !== 'all') return
  pending.push(change)
  if (pending.length === 1) setTimeout(flush, Math.max(0, lastAt + pauseMs - performance.now()))
}

function flush() {
  lastAt = performance.now()
  const changes = pending
  pending = []
  const sentence = summarise(changes)
  if (sentence && announcements.peek() === 'all') show(statusText, sentence)
}

export function summarise(changes: readonly RemoteChange[]): string {
  const last = changes.at(-1)
  const subjects = new Set(changes.map(({ subject }) => subject))
  const names = [...new Set(changes.map(({ name }) => name))]
  if (subjects.size < 2 && names.length < 2) return last?.sentence ?? ''
  return `${listNames(names)} changed ${plural(subjects.size, '1 line', '# lines')}`
}

/** Shows a text in a region, also when it is the same as before: a screen reader reads only changes. */
function show(region: typeof statusText, text: string) {
  region.value = region.peek() === text ? `${text}\u00a0` : text
}
