import { diffArrays } from 'diff'
import { isWord } from './words.ts'

/** Tokens `start` to `end` of one text became `text`; which words came and went, folded. */
export interface Edit {
  start: number
  end: number
  text: string
  added: Set<string>
  removed: Set<string>
}

/**
 * What turns the tokens of base into those of text, in order, no two without a kept word between.
 * Null when more than `most` tokens came and went, unless in one piece: the work grows with the
 * square of that. The differences are Myers's O(ND) (1986), of the package `diff`.
 */
export function wordEdits(base: string[], text: string[], most: number): Edit[] | null {
  // Between repeated words a change fits in several places. One difference is taken from the front
  // and one from the back: what both match alike is unchanged, all else belongs to an edit.
  const front = align(base, text, most)
  const back = front && align(base.toReversed(), text.toReversed(), most)?.toReversed()
  if (!front || !back) return null

  const spans: Span[] = []
  let [start, from] = [0, 0]
  for (let end = 0; end <= base.length; end++) {
    const to = front[end] ?? text.length
    const isSure = to >= 0 && to === text.length - 1 - (back[end] ?? -1)
    if (!isSure) continue
    if (end > start || to > from) {
      const last = spans.at(-1)
      const isNear = last && !base.slice(last.end, start).some(isWord)
      if (isNear) Object.assign(last, { end, to })
      else spans.push({ start, end, from, to })
    }
    start = end + 1
    from = to + 1
  }
  return joinSwaps(spans, span => edit(base, text, span))
}

interface Span {
  start: number
  end: number
  from: number
  to: number
}

/** For each token of base the place of its match in text, or -1; null when there is too much. */
function align(base: string[], text: string[], most: number): number[] | null {
  const shorter = Math.min(base.length, text.length)
  let head = 0
  while (head < shorter && base[head] === text[head]) head++
  let tail = 0
  while (tail < shorter - head && base.at(-1 - tail) === text.at(-1 - tail)) tail++

  const onePiece = [
    { count: head },
    { count: base.length - shorter, removed: true },
    { count: text.length - shorter, added: true },
    { count: tail }
  ]
  const isOne = head + tail === shorter
  const changes = isOne ? onePiece : diffArrays(base, text, { maxEditLength: most })
  if (!changes) return null

  const places: number[] = []
  let at = 0
  for (const { added = false, removed = false, count } of changes) {
    if (!added) for (let i = 0; i < count; i++) places.push(removed ? -1 : at + i)
    if (!removed) at += count
  }
  return places
}

/**
 * When two edits exchanged their words, two phrases changed places, and what looks unchanged
 * between them may belong to either ("A goes to X, B goes to Y"): all of it is one edit.
 */
function joinSwaps(spans: Span[], toEdit: (span: Span) => Edit): Edit[] {
  const edits = spans.map(toEdit)
  for (let i = 0; i < edits.length; i++) {
    const [a, first] = [edits[i], spans[i]] as [Edit, Span]
    const j = edits.findLastIndex(b => isAlike(a.added, b.removed) && isAlike(b.added, a.removed))
    if (j <= i) continue
    const { end, to } = spans[j] as Span
    const joined = { ...first, end, to }
    spans.splice(i, j - i + 1, joined)
    edits.splice(i, j - i + 1, toEdit(joined))
    i-- // the joined edit may have exchanged words with another
  }
  return edits
}

function edit(base: string[], text: string[], { start, end, from, to }: Span): Edit {
  const now = text.slice(from, to)
  const [before, after] = [fold(base.slice(start, end)), fold(now)]
  const [added, removed] = [after.difference(before), before.difference(after)]
  return { start, end, text: now.join(''), added, removed }
}

/** Words without case and outer punctuation: "Today" is "today!". */
function fold(tokens: string[]): Set<string> {
  const bare = /[^\s\p{P}](?:.*[^\s\p{P}])?/su
  return new Set(tokens.filter(isWord).map(word => word.toLowerCase().match(bare)?.[0] ?? word))
}

/**
 * Whether the words in both make up half of either, in letters: two phrases that share "with the"
 * may say different things, "on Monday" and "Monday morning" do not.
 */
export function isAlike(a: Set<string>, b: Set<string>): boolean {
  const both = a.intersection(b)
  const letters = (set: Set<string>) => [...set].join('').length
  return both.size > 0 && 2 * letters(both) >= Math.min(letters(a), letters(b))
}
