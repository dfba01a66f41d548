import type { Connection } from '../client/index.ts'

/** Returns the text for a number. `#` in `many` is replaced by the number: `plural(3, '1 change', '# changes')`. */
export function plural(count: number, one: string, many: string): string {
  return count === 1 ? one : many.replace('#', count.toLocaleString())
}

/**
 * Returns a text that a user wrote, for use inside a sentence. Characters that control the direction of text then affect
 * only the text itself (UAX #9, 6.3).
 */
export function isolate(text: string): string {
  return DIRECTED.test(text) ? `\u2068${text}\u2069` : text
}

const DIRECTED = /[\p{Script=Arabic}\p{Script=Hebrew}\u200e\u200f\u202a-\u202e\u2066-\u2069]/u

/** Returns "Ann", "Ann and Bob" or "Ann, Bob and 2 others". */
export function listNames(names: readonly string[], most = 3): string {
  if (names.length <= 1) return names[0] ?? ''
  if (names.length <= most) return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
  const shown = names.slice(0, most - 1)
  return `${shown.join(', ')} and ${plural(names.length - shown.length, '1 other', '# others')}`
}

const units = [
  [60, 'second'],
  [60, 'minute'],
  [24, 'hour'],
  [7, 'day'],
  [4.35, 'week'],
  [12, 'month'],
  [Number.POSITIVE_INFINITY, 'year']
] as const

/** Returns a time such as "now", "5 minutes ago" or "yesterday". */
export function relativeTime(time: string | number | Date, now = Date.now()): string {
  let value = (new Date(time).getTime() - now) / 1000
  if (Math.abs(value) < 45) return 'just now'
  const format = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })
  for (const [size, unit] of units) {
    if (Math.abs(value) < size) return format.format(Math.round(value), unit)
    value /= size
  }
  return ''
}

/** Returns a time in full, for the title of a relative one. */
export function fullTime(time: string | number | Date): string {
  const format = new Intl.DateTimeFormat('en', { dateStyle: 'full', timeStyle: 'short' })
  return format.format(new Date(time))
}

/** Returns up to two letters of a name, for an avatar. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/)
  const picked = words.length > 1 ? [words[0], words.at(-1)] : [words[0]]
  return picked.map(word => [...(word ?? '')][0]?.toUpperCase() ?? '').join('')
}

export type ConnectionLook = 'saved' | 'busy' | 'offline' | 'sign-in' | 'unsafe'

/** Returns the short text of a connection, the whole sentence, and how it looks. */
export function describeConnection(
  { state, unsent, held, retryAt, isStored }: Connection,
  now = Date.now()
): { look: ConnectionLook; short: string; sentence: string } {
  const changes = plural(unsent, '1 change', '# changes')
  if (!isStored && unsent > 0) {
    return {
      look: 'unsafe',
      short: 'Not saved on this device',
      sentence: `This browser cannot store changes. Keep this page open until ${changes} ${unsent === 1 ? 'is' : 'are'} sent.`
    }
  }
  if (state === 'needs-sign-in') {
    if (unsent === 0)
      return { look: 'sign-in', short: 'Signed out', sentence: 'You are signed out.' }
    return {
      look: 'sign-in',
      short: `Sign in to send ${unsent}`,
      sentence: `Sign in to send ${changes}.`
    }
  }
  if (state === 'offline') {
    const seconds = retryAt === null ? 0 : Math.ceil((retryAt - now) / 1000)
    const next = seconds > 0 ? ` Next try in ${seconds} s.` : ''
    if (unsent === 0) return { look: 'offline', short: 'Offline', sentence: `Offline.${next}` }
    return {
      look: 'offline',
      short: `Offline, ${unsent} waiting`,
      sentence: `Offline. ${changes} ${unsent === 1 ? 'waits' : 'wait'} on this device.${next}`
    }
  }
  if (state === 'connecting') {
    return { look: 'busy', short: 'Connecting', sentence: 'Connecting…' }
  }
  if (state === 'catching-up') {
    return { look: 'busy', short: 'Catching up', sentence: 'Loading changes…' }
  }
  if (unsent > held) {
    const sending = plural(unsent - held, '1 change', '# changes')
    return { look: 'busy', short: `Sending ${unsent - held}`, sentence: `Sending ${sending}…` }
  }
  if (held > 0) {
    return {
      look: 'offline',
      short: `${held} not sent`,
      sentence: `${changes} ${held === 1 ? 'was' : 'were'} not sent: you may not change ${held === 1 ? 'its list' : 'their lists'} any more.`
    }
  }
  return { look: 'saved', short: 'Saved', sentence: 'All changes are saved.' }
}

export const roleNames = { owner: 'Owner', editor: 'Editor', viewer: 'Viewer' } as const

/** Returns a name of a browser and its system, such as "Chrome on Linux", for a header User-Agent. */
export function deviceOf(userAgent: string): string {
  const find = (names: readonly (readonly [RegExp, string])[]) =>
    names.find(([pattern]) => pattern.test(userAgent))?.[1]
  const browser = find(browsers) ?? (userAgent.split(/[ /]/, 1)[0] || 'Unknown device')
  const system = find(systems)
  return system ? `${browser} on ${system}` : browser
}

const browsers = [
  [/Edg/, 'Edge'],
  [/OPR/, 'Opera'],
  [/Firefox|FxiOS/, 'Firefox'],
  [/Chrome|CriOS/, 'Chrome'],
  [/Safari/, 'Safari']
] as const

const systems = [
  [/iPhone/, 'iPhone'],
  [/iPad/, 'iPad'],
  [/Android/, 'Android'],
  [/Windows/, 'Windows'],
  [/Mac OS/, 'macOS'],
  [/CrOS/, 'ChromeOS'],
  [/Linux/, 'Linux']
] as const
