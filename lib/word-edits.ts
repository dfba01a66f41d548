import { align, type Matches } from './align.ts'
import { isWord } from './words.ts'

/** How many edits a side may have: each is compared with each. */
const mostEdits = 64

/** Tokens `start` to `end` of base became `tokens`. */
interface Change {
  start: number
  end: number
  tokens: string[]
}

/** A change with an unchanged word before and after it. */
export interface Edit extends Change {
  /** the words that came and went, without case and outer punctuation */
  added: Set<string>
  removed: Set<string>
  /** the small changes that it consists of, in order, each with a name for what it does */
  changes: (Change & { name: string })[]
  /** the names of these and of the small changes in the difference from the back */
  names: Set<string>
}

/**
 * Returns what turns the tokens of base into those of text, in order. Returns null when more than
 * 160 tokens were added and removed, unless in one piece, or in more than 64 places.
 */
export function wordEdits(base: string[], text: string[]): Edit[] | null {
  // Between repeated words a change fits in several places: only what the differences from the
  // front and from the back match alike is unchanged, all else belongs to an edit.
  const both = align(base, text)
  if (!both) return null
  const { front, back } = both

  const sure = front.map((at, i) => (at === back[i] ? at : -1))
  const spans: Span[] = []
  for (const span of changed(sure, { start: 0, end: base.length, from: 0, to: text.length })) {
    const last = spans.at(-1)
    const isNear = last && !base.slice(last.end, span.start).some(isWord)
    if (isNear) Object.assign(last, { end: span.end, to: span.to })
    else spans.push(span)
  }
  return spans.length > mostEdits ? null : joinSwaps(spans, toEdit)

  function toEdit(span: Span): Edit {
    const { start, end, from, to } = span
    const [before, after] = [bareWords(base.slice(start, end)), bareWords(text.slice(from, to))]
    const changes = changed(front, span).map(small => change('front', small))
    const others = changed(back, span).map(small => change('back', small))
    return {
      start,
      end,
      tokens: text.slice(from, to),
      added: after.difference(before),
      removed: before.difference(after),
      changes,
      names: new Set([...changes, ...others].map(({ name }) => name))
    }
  }

  function change(side: string, { start, end, from, to }: Span) {
    const tokens = text.slice(from, to)
    return { start, end, tokens, name: `${side} ${start} ${end} ${tokens.join('')}` }
  }
}

/**
 * Joins two edits that exchanged their words, and all between them: two phrases changed places,
 * and what looks unchanged may belong to either ("A goes to X, B goes to Y").
 */
function joinSwaps(spans: Span[], toEdit: (span: Span) => Edit): Edit[] {
  const edits = spans.map(toEdit)
  const joined: Edit[] = []
  for (let i = 0; i < edits.length; ) {
    let last = i
    for (let at = i; at <= last; at++) {
      for (let to = edits.length - 1; to > last; to--) {
        if (isExchange(edits[at] as Edit, edits[to] as Edit)) last = to
      }
    }
    const [first, end] = [spans[i], spans[last]] as [Span, Span]
    joined.push(last === i ? (edits[i] as Edit) : toEdit({ ...first, end: end.end, to: end.to }))
    i = last + 1
  }
  return joined
}

function isExchange(a: Edit, b: Edit): boolean {
  return isAlike(a.added, b.removed) && isAlike(b.added, a.removed)
}

/** Tokens `start` to `end` of base became tokens `from` to `to` of text. */
interface Span {
  start: number
  end: number
  from: number
  to: number
}

/** Returns what lies between the matches of a span, in order. */
function changed(matches: Matches, { start, end, from, to }: Span): Span[] {
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

/** Returns the words, and no blanks, in lower case. */
export function lowerCase(tokens: string[]): string[] {
  return tokens.filter(isWord).map(word => word.toLowerCase())
}

/** Returns the words without case and outer punctuation: "Today" is "today!". */
function bareWords(tokens: string[]): Set<string> {
  return new Set(lowerCase(tokens).map(word => word.match(BARE)?.[0] ?? word))
}

const BARE = /[^\s\p{P}](?:.*[^\s\p{P}])?/su

/**
 * Returns whether the words in both make up half of the shorter, in letters: two phrases that share
 * "with the" may say different things, "on Monday" and "Monday morning" do not.
 */
export function isAlike(a: Set<string>, b: Set<string>): boolean {
  return isShared(a, b, Math.min)
}

/** Returns whether they make up half of both taken together: one "the" is not like a sentence. */
export function isAlikeInBoth(a: Set<string>, b: Set<string>): boolean {
  return isShared(a, b, (a, b) => (a + b) / 2)
}

function isShared(a: Set<string>, b: Set<string>, whole: (a: number, b: number) => number) {
  if (a.size === 0 || b.size === 0 || a.isDisjointFrom(b)) return false
  const letters = (set: Set<string>) => [...set].join('').length
  return 2 * letters(a.intersection(b)) >= whole(letters(a), letters(b))
}
