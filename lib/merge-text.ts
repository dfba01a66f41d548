import { maximum } from '../schemas/limits.ts'
import { type Chunk, mergeChunk, type Origin, type Run, run } from './merge-chunk.ts'
import { difference, intersection, isDisjoint } from './sets.ts'
import { type Edit, isAlike, isAlikeInBoth, lowerCaseWords, wordEdits } from './word-edits.ts'
import { isWord, tokenize } from './words.ts'

// `units` limits a text: a character has at most two UTF-16 code units. `parts` limits the parts of a result.
const limits = { units: 2 * maximum.textLength, parts: maximum.mergedParts }

/** A merged text. The `length` of a part is in UTF-16 units. More than 64 parts are returned as one part by `both`. */
export interface Merged {
  value: string
  parts: { length: number; by: Origin }[]
}

export type MergeConflict =
  | 'too many changes'
  | 'same words changed'
  | 'neighbouring words changed'
  | 'same change in two places'
  | 'phrase repeated'

/**
 * Merges two changes of one text word by word. Returns null for a conflict. docs/merging.md has an example for each
 * rule. As in diff3, changes with an unchanged word between them are merged. Four rules merge more:
 * 1. Superset: when one side made every change of the other side in the same place, its text is the result.
 * 2. Parts: two changes of one word are merged when an unchanged part with letters is between them.
 * 3. Shared half: additions in two places count as the same only when they share half of their letters.
 * 4. Neighbours: changes of neighbouring words are merged when each replaces words by at least as many new words.
 * Four guards return a conflict where diff3 merges:
 * - Both sides added the same words, or deleted copies of the same words, in two places.
 * - One side adds again what both sides deleted.
 * - The place of a change is ambiguous, because a word is repeated.
 * - One side repeats a phrase, and the other side changed something next to that phrase.
 * More than 4,000 UTF-16 units, 64 places or 160 tokens are a conflict as well. The function never throws. It imports no
 * package, because it also runs in browsers. The caller must check the length of the merged text.
 * Sources: Khanna, Kunal and Pierce, "A Formal Investigation of Diff3" (2007); Myers (1986) for the differences. The
 * rules and guards are our own. bench/merge.ts evaluates them on 5,366 pairs of real edits in public repositories: 61 %
 * of the merge commits and 22 % of the independent edits of one line are conflicts (without the rules 67 % and 33 %).
 */
export function mergeText(base: string, live: string, wanted: string): Merged | null {
  const merged = mergeOrConflict(base, live, wanted)
  return typeof merged === 'string' ? null : merged
}

/** Merges like `mergeText`, but returns the reason for a conflict instead of null. */
export function mergeOrConflict(
  base: string,
  live: string,
  wanted: string
): Merged | MergeConflict {
  if (live === wanted) return joinRuns([{ text: live, by: live === base ? 'base' : 'both' }])
  if (wanted === base) return joinRuns([{ text: live, by: 'live' }])
  if (live === base) return joinRuns([{ text: wanted, by: 'wanted' }])
  if (Math.max(base.length, live.length, wanted.length) > limits.units) return 'too many changes'

  const tokens = tokenize(base)
  const liveEdits = wordEdits(tokens, tokenize(live))
  const wantedEdits = liveEdits && wordEdits(tokens, tokenize(wanted))
  if (!liveEdits || !wantedEdits) return 'too many changes'

  const runs: Run[] = []
  const edits: Record<'live' | 'wanted' | 'agreed', Edit[]> = { live: [], wanted: [], agreed: [] }
  let done = 0
  for (const chunk of toChunks(tokens, liveEdits, wantedEdits)) {
    const merged = mergeChunk(chunk)
    if (!merged) return isOverlap(chunk) ? 'same words changed' : 'neighbouring words changed'
    edits.live.push(...merged.live)
    edits.wanted.push(...merged.wanted)
    edits.agreed.push(...merged.agreed)
    runs.push(run(tokens.slice(done, chunk.start), 'base'), ...merged.runs)
    done = chunk.end
  }
  runs.push(run(tokens.slice(done), 'base'))

  if (repeatsEdit(edits.live, edits.wanted, edits.agreed)) return 'same change in two places'
  if (repeatsPhrase(tokens, edits.live, edits.wanted)) return 'phrase repeated'
  return joinRuns(runs)
}

/** Groups the edits of both sides into chunks. Between two chunks there is at least one unchanged word. */
function toChunks(base: string[], live: Edit[], wanted: Edit[]): Chunk[] {
  const all = [...live, ...wanted].sort((a, b) => a.start - b.start || a.end - b.end)
  const spans: { start: number; end: number }[] = []
  for (const { start, end } of all) {
    const last = spans.at(-1)
    if (!last || base.slice(last.end, start).some(isWord)) spans.push({ start, end })
    else last.end = Math.max(last.end, end)
  }
  return spans.map(({ start, end }) => {
    const isIn = (edit: Edit) => start <= edit.start && edit.end <= end
    const edits = { live: live.filter(isIn), wanted: wanted.filter(isIn) }
    return { start, end, base: base.slice(start, end), edits }
  })
}

function isOverlap({ edits }: Chunk): boolean {
  const overlap = (a: Edit, b: Edit) =>
    (a.start < b.end && b.start < a.end) || (a.start === b.start && a.end === b.end)
  return edits.live.some(a => edits.wanted.some(b => overlap(a, b)))
}

// One side made an edit of the other side in another place, or added again words that both sides deleted.
function repeatsEdit(live: Edit[], wanted: Edit[], agreed: Edit[]): boolean {
  const isDelete = ({ added }: Edit) => added.size === 0
  const repeats = (a: Edit, b: Edit) =>
    isAlikeInBoth(a.added, b.added) || (isDelete(a) && isDelete(b) && isAlike(a.removed, b.removed))
  const restores = (a: Edit) => agreed.some(({ removed }) => isAlike(a.added, removed))
  return live.some(a => restores(a) || wanted.some(b => repeats(a, b))) || wanted.some(restores)
}

// One side repeats a phrase, and the other side changed something near it, which may belong to either copy.
function repeatsPhrase(base: string[], live: Edit[], wanted: Edit[]): boolean {
  const around = ({ start, end }: Edit, words: number) => {
    for (let left = words; start > 0 && left > 0; ) if (isWord(base[--start] as string)) left--
    for (let left = words; end < base.length && left > 0; )
      if (isWord(base[end++] as string)) left--
    return pairs(base.slice(start, end))
  }
  const repeated = (edit: Edit) =>
    intersection(
      difference(pairs(edit.tokens), pairs(base.slice(edit.start, edit.end))),
      around(edit, 3)
    )
  const isNextTo = (repeating: Edit[], changed: Edit[]) => {
    const phrases = repeating.map(repeated).filter(found => found.size > 0)
    return changed
      .map(edit => around(edit, 2))
      .some(near => phrases.some(p => !isDisjoint(p, near)))
  }
  return isNextTo(live, wanted) || isNextTo(wanted, live)
}

function pairs(tokens: string[]): Set<string> {
  const all = lowerCaseWords(tokens)
  return new Set(all.slice(1).map((word, i) => `${all[i]} ${word}`))
}

function joinRuns(runs: Run[]): Merged {
  const parts: Merged['parts'] = []
  for (const { text, by } of runs) {
    const last = parts.at(-1)
    if (last?.by === by) last.length += text.length
    else if (text) parts.push({ length: text.length, by })
  }
  const value = runs.map(({ text }) => text).join('')
  const hasFewParts = parts.length <= limits.parts
  return { value, parts: hasFewParts ? parts : [{ length: value.length, by: 'both' }] }
}
