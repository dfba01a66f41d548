import { maximum } from '../../schemas/limits.ts'

/** A bullet, a number, or the box of a Markdown checklist at the beginning of a line. */
const MARKER = /^(?:[-*+•◦▪–]\s+(?:\[[ xX]?\]\s+)?|\[[ xX]?\]\s+|☐\s*|☑\s*|\d{1,3}[.)]\s+)/u

/**
 * Returns the lines of a pasted text without bullets and empty lines. A line that is too long for one item becomes
 * several.
 */
export function splitLines(text: string): string[] {
  return text
    .split(/\r\n|[\n\r\u2028\u2029]/)
    .map(line => line.replaceAll('\t', ' ').trim().replace(MARKER, '').trim())
    .filter(line => line !== '')
    .flatMap(cut)
}

function cut(line: string): string[] {
  const characters = [...line]
  const pieces: string[] = []
  for (let at = 0; at < characters.length; at += maximum.textLength)
    pieces.push(characters.slice(at, at + maximum.textLength).join(''))
  return pieces
}
