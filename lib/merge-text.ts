import { maximum } from '../schemas/limits.ts'
import { type Chunk, mergeChunk, type Origin, type Run, run } from './merge-chunk.ts'
import { type Edit, isAlike, isAlikeInBoth, lowerCaseWords, wordEdits } from './word-edits.ts'
import { isWord, tokenize } from './words.ts'

// `units` limits a text: a character has at most two UTF-16 code units. `parts` limits the parts of a result.
const limits = { units: 2 * maximum.textLength, parts: maximum.mergedParts }

/**
 * A merged text, and its parts in order with the origin of each. Each part is `length` UTF-16 units of `value`, at
 * least one. Adjoining parts have different origins. A text of more than 64 parts is returned as one part with the
 * origin `both`.
 */
export interface Merged {
  value: string
  parts: { length: number; by: Origin }[]
}

/** The reason why two changes cannot be merged. */
export type MergeConflict =
  | 'too many changes'
  | 'same words changed'
  | 'neighbouring words changed'
  | 'same change in two places'
  | 'phrase repeated'

/**
 * Merges two changes of one text word by word. `live` and `wanted` are two changed copies of `base`. Returns null for a
 * conflict.
 *
 * As in diff3, two changes are merged when an unchanged word is between them: "Buy milk and bread", changed to "Buy oat
 * milk and bread" and to "Buy milk and rye bread", becomes "Buy oat milk and rye bread". Four rules merge more:
 *
 * 1. Superset: when one side made every change of the other side in the same place, its text is the result. A change
 *    that both sides made is made once. "Order blue chairs", changed to "Order green chairs" and to "Order green
 *    tables", becomes "Order green tables".
 * 2. Parts: two changes of one word are merged when an unchanged part with letters is between them. Neither change may
 *    touch a part with a digit. "https://old.org/pgae", changed to "https://new.org/pgae" and to
 *    "https://old.org/page", becomes "https://new.org/page".
 * 3. Shared half: both sides may add the same small word in different places. Two additions count as the same (see the
 *    first guard) only when the words that they share, counted in both, have at least half of their letters. "Send
 *    report to Ann", changed to "Send the report to Ann" and to "Send report to Ann before the meeting", becomes "Send
 *    the report to Ann before the meeting".
 * 4. Neighbours: changes of neighbouring words are merged when each change replaces words by at least as many new
 *    words. A word is new when the old text of these neighbours does not contain it. No replaced word may be a number.
 *    "Buy red apples", changed to "Buy green apples" and to "Buy red pears", becomes "Buy green pears".
 *
 * Four guards return a conflict where diff3 merges:
 *
 * - Both sides added the same words in two places, or deleted copies of the same words in two places. Example: "Buy
 *   milk and bread", changed to "Today buy milk and bread" and to "Buy milk and bread today".
 * - One side adds again what both sides deleted. Example: "Today call Bob about it", changed to "call Bob about it" and
 *   to "call Bob about it today".
 * - The place of a change is ambiguous, because a word is repeated. Example: "ha ha ha", changed to "ha ha ha ha" and
 *   to "ha ho ha".
 * - One side repeats a phrase, and the other side changed something next to that phrase. Example: "order 3 bottles of
 *   juice", changed to "order 12 bottles of tea and 3 bottles of juice" and to "order 3 fresh bottles of juice".
 *
 * Three limits return a conflict as well: a text is longer than 4,000 UTF-16 units; one side changed more than 64
 * places; one side added and removed more than 160 tokens, unless it only added one piece or only removed one piece.
 *
 * The result is symmetric: when `live` and `wanted` are swapped, only the origins in `parts` are swapped. The function
 * never throws, and its time is bounded for any input. It imports no package, because it also runs in browsers. The
 * merged text may be longer than either text, so the caller must check the limit of the field.
 *
 * Sources: Khanna, Kunal and Pierce, "A Formal Investigation of Diff3" (2007), for the merge of chunks; Myers (1986)
 * for the differences. The rules and guards are our own. bench/merge.ts evaluated them: none of 160,000 generated pairs
 * is merged wrongly. Of 5,366 pairs of real edits in public repositories, the function returns a conflict for 61 % of
 * the merge commits of one line, and for 22 % of the independent edits of one line (67 % and 33 % without the four
 * rules). We read every merge that only the rules make possible and that differs from the text in the repository: none
 * is wrong. The slowest of 255 hostile texts of 2,000 characters takes 8 ms of CPU time.
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

/** Returns whether the two sides changed the same words. Returns false when they changed only neighbouring words. */
function isOverlap({ edits }: Chunk): boolean {
  const overlap = (a: Edit, b: Edit) =>
    (a.start < b.end && b.start < a.end) || (a.start === b.start && a.end === b.end)
  return edits.live.some(a => edits.wanted.some(b => overlap(a, b)))
}

/**
 * Returns whether one side made an edit of the other side in another place, or added again words that both sides
 * deleted.
 */
function repeatsEdit(live: Edit[], wanted: Edit[], agreed: Edit[]): boolean {
  const isDelete = ({ added }: Edit) => added.size === 0
  const repeats = (a: Edit, b: Edit) =>
    isAlikeInBoth(a.added, b.added) || (isDelete(a) && isDelete(b) && isAlike(a.removed, b.removed))
  const restores = (a: Edit) => agreed.some(({ removed }) => isAlike(a.added, removed))
  return live.some(a => restores(a) || wanted.some(b => repeats(a, b))) || wanted.some(restores)
}

/**
 * Returns whether one side added a copy of two consecutive words at most three words away from them, and the other side
 * changed something next to these words. That change may belong to either copy.
 */
function repeatsPhrase(base: string[], live: Edit[], wanted: Edit[]): boolean {
  const around = ({ start, end }: Edit, words: number) => {
    for (let left = words; start > 0 && left > 0; ) if (isWord(base[--start] as string)) left--
    for (let left = words; end < base.length && left > 0; )
      if (isWord(base[end++] as string)) left--
    return pairs(base.slice(start, end))
  }
  const repeated = (edit: Edit) =>
    pairs(edit.tokens)
      .difference(pairs(base.slice(edit.start, edit.end)))
      .intersection(around(edit, 3))
  const isNextTo = (repeating: Edit[], changed: Edit[]) => {
    const phrases = repeating.map(repeated).filter(found => found.size > 0)
    return changed
      .map(edit => around(edit, 2))
      .some(near => phrases.some(p => !p.isDisjointFrom(near)))
  }
  return isNextTo(live, wanted) || isNextTo(wanted, live)
}

/** Returns all pairs of consecutive words, in lower case. */
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
