import { align, type Matches } from './align.ts'
import { difference, intersection, isDisjoint } from './sets.ts'
import { isWord } from './words.ts'

/** Maximum number of edits of one side. Each edit is compared with each edit of the other side. */
const maxEdits = 64

/** A change that replaces the tokens `start` to `end` of base by `tokens`. */
interface Change {
  start: number
  end: number
  tokens: string[]
}

/** A change that ends on each side at an unchanged word or at an end of the text. */
export interface Edit extends Change {
  /** the added and removed words in lower case, without leading and trailing punctuation */
  added: Set<string>
  removed: Set<string>
  /** the smallest changes that this edit consists of, in order; equal changes have equal keys */
  changes: (Change & { key: string })[]
  /** the keys of `changes`, and the keys of the smallest changes when the texts are aligned from the back */
  keys: Set<string>
}

/** Returns the edits from base to text, in order. Returns null when too many places or tokens changed. */
export function wordEdits(base: string[], text: string[]): Edit[] | null {
  // When a word is repeated, a change can have several places. A token is unchanged only if the alignments from the
  // front and from the back match it with the same token. All other tokens belong to an edit.
  const matches = align(base, text)
  if (!matches) return null
  const { front, back } = matches

  const certain = front.map((at, i) => (at === back[i] ? at : -1))
  const spans: Span[] = []
  for (const span of findChanges(certain, {
    start: 0,
    end: base.length,
    from: 0,
    to: text.length
  })) {
    const last = spans.at(-1)
    const isNear = last && !base.slice(last.end, span.start).some(isWord)
    if (isNear) Object.assign(last, { end: span.end, to: span.to })
    else spans.push(span)
  }
  return spans.length > maxEdits ? null : joinSwaps(spans, toEdit)

  function toEdit(span: Span): Edit {
    const { start, end, from, to } = span
    const [before, after] = [bareWords(base.slice(start, end)), bareWords(text.slice(from, to))]
    const changes = findChanges(front, span).map(small => toChange('front', small))
    const backChanges = findChanges(back, span).map(small => toChange('back', small))
    return {
      start,
      end,
      tokens: text.slice(from, to),
      added: difference(after, before),
      removed: difference(before, after),
      changes,
      keys: new Set([...changes, ...backChanges].map(({ key }) => key))
    }
  }

  function toChange(side: string, { start, end, from, to }: Span) {
    const tokens = text.slice(from, to)
    return { start, end, tokens, key: `${side} ${start} ${end} ${tokens.join('')}` }
  }
}

// Joins two edits that swapped their words, as in "A goes to X, B goes to Y" and "B goes to X, A goes to Y". The
// unchanged words between them may belong to either phrase.
function joinSwaps(spans: Span[], toEdit: (span: Span) => Edit): Edit[] {
  const edits = spans.map(toEdit)
  const joined: Edit[] = []
  for (let i = 0; i < edits.length; ) {
    let last = i
    for (let at = i; at <= last; at++) {
      for (let to = edits.length - 1; to > last; to--) {
        if (isSwap(edits[at] as Edit, edits[to] as Edit)) last = to
      }
    }
    const [first, end] = [spans[i], spans[last]] as [Span, Span]
    joined.push(last === i ? (edits[i] as Edit) : toEdit({ ...first, end: end.end, to: end.to }))
    i = last + 1
  }
  return joined
}

function isSwap(a: Edit, b: Edit): boolean {
  return isAlike(a.added, b.removed) && isAlike(b.added, a.removed)
}

/** A change that replaces the tokens `start` to `end` of base by the tokens `from` to `to` of text. */
interface Span {
  start: number
  end: number
  from: number
  to: number
}

function findChanges(matches: Matches, { start, end, from, to }: Span): Span[] {
  const spans: Span[] = []
  for (let i = start; i <= end; i++) {
    const at = i < end ? (matches[i] as number) : to
    if (at < 0) continue
    if (i > start || at > from) spans.push({ start, end: i, from, to: at })
    start = i + 1
    from = at + 1
  }
  return spans
}

export function lowerCaseWords(tokens: string[]): string[] {
  return tokens.filter(isWord).map(word => word.toLowerCase())
}

// "Today!" becomes "today".
function bareWords(tokens: string[]): Set<string> {
  return new Set(lowerCaseWords(tokens).map(word => word.match(BARE)?.[0] ?? word))
}

const BARE = /[^\s\p{P}](?:.*[^\s\p{P}])?/su

/**
 * Returns whether the shared words have half of the letters of the shorter set, as in "on Monday", "Monday morning".
 */
export function isAlike(a: Set<string>, b: Set<string>): boolean {
  return isHalfShared(a, b, Math.min)
}

/** Returns whether the shared words, counted in both sets, have at least half of the letters of both. */
export function isAlikeInBoth(a: Set<string>, b: Set<string>): boolean {
  return isHalfShared(a, b, (a, b) => (a + b) / 2)
}

function isHalfShared(a: Set<string>, b: Set<string>, whole: (a: number, b: number) => number) {
  if (a.size === 0 || b.size === 0 || isDisjoint(a, b)) return false
  const letters = (set: Set<string>) => [...set].join('').length
  return 2 * letters(intersection(a, b)) >= whole(letters(a), letters(b))
}
