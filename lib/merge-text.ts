import { type Edit, isAlike, wordEdits } from './word-edits.ts'
import { isWord, words } from './words.ts'

// `units` are UTF-16 units of a text, `edits` the tokens added and removed by one side. Both bound
// the work, the second by its square: 100 edits a side take 5 ms, 200 took 20.
const limits = { units: 4_000, edits: 100 }

/**
 * Merges two changes of one text, word by word: what `live` made of `base` and what `wanted` made
 * of it. Null means ask, somebody must choose: both changed the same place, or places with no word
 * between; both added the same words, or deleted copies of them, in two places; a repeated word
 * leaves it open where a change was made; or a text is longer than 4,000 UTF-16 units, or a side
 * changed more than 100 tokens (other than by one long addition or deletion). What both did alike
 * is done once.
 *
 * Symmetric in `live` and `wanted`, never throws, does bounded work for any input, and runs in a
 * browser as it stands. The result may be longer than either text: an item's limit is the caller's.
 *
 * Source: the three-way merge of Khanna, Kunal and Pierce, "A Formal Investigation of Diff3" (2007);
 * the guards are our own, and bench/merge.ts is what they were chosen by.
 */
export function mergeText(base: string, live: string, wanted: string): string | null {
  if (wanted === base) return live
  if (live === base || live === wanted) return wanted
  if (Math.max(base.length, live.length, wanted.length) > limits.units) return null

  const from = words(base)
  const ours = wordEdits(from, words(live), limits.edits)
  const theirs = ours && wordEdits(from, words(wanted), limits.edits)
  if (!ours || !theirs) return null

  const agreed = ours.filter(a => theirs.some(b => isSame(a, b)))
  const left = ours.filter(a => !theirs.some(b => isSame(a, b)))
  const right = theirs.filter(b => !ours.some(a => isSame(a, b)))
  return isRepeated(left, right, agreed) ? null : apply(from, [...left, ...right, ...agreed])
}

const isSame = (a: Edit, b: Edit) => a.start === b.start && a.end === b.end && a.text === b.text

/** Whether a side did elsewhere what the other did, or puts back what both took away. */
function isRepeated(left: Edit[], right: Edit[], agreed: Edit[]): boolean {
  const isDelete = ({ added }: Edit) => added.size === 0
  const repeats = (a: Edit, b: Edit) =>
    isAlike(a.added, b.added) || (isDelete(a) && isDelete(b) && isAlike(a.removed, b.removed))
  const putsBack = (a: Edit) => agreed.some(({ removed }) => isAlike(a.added, removed))
  return left.some(a => putsBack(a) || right.some(b => repeats(a, b))) || right.some(putsBack)
}

/** Base with all edits made; null where two have no word between, as only two sides' can have. */
function apply(base: string[], edits: Edit[]): string | null {
  let merged = ''
  let done = 0
  for (const edit of edits.sort((a, b) => a.start - b.start || a.end - b.end)) {
    const kept = base.slice(done, edit.start).join('')
    if (edit !== edits[0] && !isWord(kept)) return null
    merged += kept + edit.text
    done = edit.end
  }
  return merged + base.slice(done).join('')
}
