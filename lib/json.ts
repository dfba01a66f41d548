import { BadRequest } from './errors.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The text of a body. Throws BadRequest unless it is UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new BadRequest('the body is not valid UTF-8')
  }
}

/**
 * Throws BadRequest when a string anywhere in a parsed JSON value, keys included, holds NUL, which
 * PostgreSQL cannot store, or half a surrogate pair: different ones become the same U+FFFD when
 * encoded, so that two passwords would hash alike.
 */
export function assertWellFormed(value: unknown): void {
  // A stack of our own: 256 KiB of "[" are deeper than that of the engine.
  const pending = [value]
  while (pending.length > 0) {
    const next = pending.pop()
    if (typeof next === 'string') assertText(next)
    else if (Array.isArray(next)) for (const item of next) pending.push(item)
    else if (next !== null && typeof next === 'object') {
      for (const [key, item] of Object.entries(next)) pending.push(key, item)
    }
  }
}

function assertText(text: string) {
  if (text.includes('\0')) throw new BadRequest('a string holds the character NUL (\\u0000)')
  if (!text.isWellFormed()) throw new BadRequest('a string holds half a surrogate pair')
}
