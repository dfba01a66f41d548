import { align, type Matches } from '../../lib/align.ts'
import { tokenize } from '../../lib/words.ts'

export interface Piece {
  kind: 'same' | 'removed' | 'added'
  text: string
}

/** Returns the pieces of two texts, word by word, with the words that the merge uses. Removed words come before added. */
export function diffWords(before: string, after: string): Piece[] {
  const [from, to] = [tokenize(before), tokenize(after)]
  const matches = matchTokens(from, to)
  const pieces: Piece[] = []
  const add = (kind: Piece['kind'], tokens: string[]) => {
    const text = tokens.join('')
    const last = pieces.at(-1)
    if (last?.kind === kind) last.text += text
    else if (text) pieces.push({ kind, text })
  }
  let [start, next] = [0, 0]
  for (let i = 0; i <= from.length; i++) {
    const at = i < from.length ? (matches[i] as number) : to.length
    if (at < 0) continue
    add('removed', from.slice(start, i))
    add('added', to.slice(next, at))
    add('same', to.slice(at, at + 1))
    start = i + 1
    next = at + 1
  }
  return joinNeighbours(pieces)
}

/** Joins changes with only blanks between them, since "a b" to "c d" is one change to a reader. */
function joinNeighbours(pieces: Piece[]): Piece[] {
  const joined: Piece[] = []
  let removed = ''
  let added = ''
  const flush = () => {
    if (removed) joined.push({ kind: 'removed', text: removed })
    if (added) joined.push({ kind: 'added', text: added })
    removed = added = ''
  }
  for (const [n, { kind, text }] of pieces.entries()) {
    const isBetween = kind === 'same' && !/\S/.test(text) && removed && added
    const [next, second] = [pieces[n + 1], pieces[n + 2]]
    if (kind === 'removed') removed += text
    else if (kind === 'added') added += text
    else if (isBetween && next?.kind === 'removed' && second?.kind === 'added') {
      removed += text
      added += text
    } else {
      flush()
      joined.push({ kind, text })
    }
  }
  flush()
  return joined
}

/** Returns the pieces of `after`: those that are not in `before` are `added`. */
export function markAdded(before: string, after: string): Piece[] {
  return diffWords(before, after).filter(({ kind }) => kind !== 'removed')
}

/** Returns the place of a caret after a text was replaced by one that contains words of other users as well. */
export function moveCaret(before: string, after: string, caret: number): number {
  if (before.startsWith(after.slice(0, caret)) && after.length >= caret) {
    const isAtEnd = caret === before.length && after.startsWith(before)
    if (isAtEnd || before.slice(0, caret) === after.slice(0, caret)) return caret
  }
  const [from, to] = [tokenize(before), tokenize(after)]
  const matches = matchTokens(from, to)
  const ends = endsOf(to)
  let start = 0
  /** the place after the last unchanged word */
  let known = 0
  for (const [i, token] of from.entries()) {
    const at = matches[i] as number
    const isHere = caret <= start + token.length
    if (at >= 0) {
      const newStart = (ends[at] as number) - token.length
      if (isHere) return newStart + caret - start
      known = newStart + token.length
    } else if (isHere) {
      const next = matches.slice(i).find(at => at >= 0)
      const limit = next === undefined ? after.length : (ends[next - 1] ?? 0)
      return Math.min(known + caret - start, Math.max(limit, known))
    }
    start += token.length
  }
  return Math.min(known, after.length)
}

function endsOf(tokens: string[]): number[] {
  let end = 0
  return tokens.map(token => {
    end += token.length
    return end
  })
}

/** Matches tokens of two texts. Texts with too many changes share only their beginning and end. */
function matchTokens(from: string[], to: string[]): Matches {
  const aligned = align(from, to)
  if (aligned) return aligned.front
  const shorter = Math.min(from.length, to.length)
  let head = 0
  while (head < shorter && from[head] === to[head]) head++
  let tail = 0
  while (tail < shorter - head && from.at(-1 - tail) === to.at(-1 - tail)) tail++
  const shift = to.length - from.length
  return from.map((_, i) => (i < head ? i : i >= from.length - tail ? i + shift : -1))
}
