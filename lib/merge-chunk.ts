import { type Edit, lowerCaseWords } from './word-edits.ts'
import { isWord } from './words.ts'

/** The text that a piece of a merged text comes from; `both`: live and wanted contain the same change. */
export type Origin = 'base' | 'live' | 'wanted' | 'both'

/** A piece of a merged text of one origin. */
export interface Run {
  text: string
  by: Origin
}

/** The tokens `start` to `end` of a text (`base`), and the edits of both sides in them. */
export interface Chunk {
  start: number
  end: number
  base: string[]
  edits: { live: Edit[]; wanted: Edit[] }
}

/** The merged text of a chunk, the edits that only one side made, and the edits that both made (`agreed`). */
export interface MergedChunk {
  runs: Run[]
  live: Edit[]
  wanted: Edit[]
  agreed: Edit[]
}

/** Merges a chunk by the first rule that applies. Returns null when none does: a conflict. */
export function mergeChunk(chunk: Chunk): MergedChunk | null {
  const superset = takeSuperset(chunk)
  if (superset) return superset
  const runs = mergeParts(chunk) ?? joinNeighbours(chunk)
  return runs && { runs, ...chunk.edits, agreed: [] }
}

/** Returns the text of the side whose changes include all changes of the other side. */
function takeSuperset({ start, end, base, edits }: Chunk): MergedChunk | null {
  const keys = (side: Edit[]) => new Set(side.flatMap(edit => [...edit.keys]))
  const [live, wanted] = [keys(edits.live), keys(edits.wanted)]
  if (live.isSubsetOf(wanted) && !isCoincidence(edits.wanted, live)) {
    const isSame = wanted.size === live.size
    const runs = toRuns(edits.wanted, live, 'wanted')
    return { runs, live: [], wanted: isSame ? [] : edits.wanted, agreed: edits.live }
  }
  if (wanted.isSubsetOf(live) && !isCoincidence(edits.live, wanted)) {
    return {
      runs: toRuns(edits.live, wanted, 'live'),
      live: edits.live,
      wanted: [],
      agreed: edits.wanted
    }
  }
  return null

  /** Returns whether `side` also changed words on both sides of a shared change: both sides rewrote the phrase. */
  function isCoincidence(side: Edit[], shared: Set<string>): boolean {
    return side.some(({ changes }) => {
      const pattern = changes.map(({ start: from, key }, i) => {
        const kept = base.slice((changes[i - 1]?.end ?? from) - start, from - start)
        return (kept.some(isWord) ? ' ' : '') + (shared.has(key) ? 's' : 'o')
      })
      return /os+o/.test(pattern.join(''))
    })
  }

  function toRuns(side: Edit[], shared: Set<string>, by: Origin): Run[] {
    const runs: Run[] = []
    let done = start
    for (const change of side.flatMap(({ changes }) => changes)) {
      runs.push(run(base.slice(done - start, change.start - start), 'base'))
      runs.push(run(change.tokens, shared.has(change.key) ? 'both' : by))
      done = change.end
    }
    return [...runs, run(base.slice(done - start, end - start), 'base')]
  }
}

/**
 * Merges two changes of one word when an unchanged part with letters is between them and neither changes a part with
 * a digit: the host and the page of a URL, the text and the target of a link. A part is a run of letters and digits,
 * or of punctuation and symbols. Returns null when this does not apply.
 */
function mergeParts({ start, end, edits, ...chunk }: Chunk): Run[] | null {
  const whole = [...edits.live, ...edits.wanted].filter(e => e.start === start && e.end === end)
  if (edits.live.length !== 1 || edits.wanted.length !== 1 || whole.length !== 2) return null
  const [base, live, wanted] = [chunk.base, ...whole.map(({ tokens }) => tokens)].map(splitParts)
  if (!base || !live || !wanted) return null
  const a = { ...changedParts(base, live), by: 'live' as const }
  const b = { ...changedParts(base, wanted), by: 'wanted' as const }
  const [first, second] = a.start < b.start ? [a, b] : [b, a]
  const between = base.slice(first.end, second.start)
  if (a.hasDigits || b.hasDigits || !/\p{L}/u.test(between.join(''))) return null
  return [
    run(base.slice(0, first.start), 'base'),
    run(first.tokens, first.by),
    run(between, 'base'),
    run(second.tokens, second.by),
    run(base.slice(second.end), 'base')
  ]
}

const PART = /[\p{L}\p{N}\p{M}]+|[\p{P}\p{S}]+\p{M}*/gu

/** Returns the parts of a single word, undefined for several words and for a word with invisible characters. */
function splitParts([word = '', ...more]: string[]): string[] | undefined {
  const parts = word.match(PART) ?? []
  return more.length === 0 && parts.join('') === word ? parts : undefined
}

/** Returns the range of base that changed. Beside repeated parts it includes all parts that may have changed. */
function changedParts(base: string[], text: string[]) {
  const shorter = Math.min(base.length, text.length)
  let head = 0
  while (head < shorter && base[head] === text[head]) head++
  let tail = 0
  while (tail < shorter && base.at(-1 - tail) === text.at(-1 - tail)) tail++
  const start = Math.min(head, shorter - tail)
  const end = base.length - Math.min(tail, shorter - head)
  const tokens = text.slice(start, text.length - base.length + end)
  const hasDigits = /\p{N}/u.test([...base.slice(start, end), ...tokens].join(''))
  return { start, end, tokens, hasDigits }
}

/**
 * Joins changes of neighbouring words when each replaces words by at least as many, all of them new to the chunk:
 * words that are inserted, deleted or moved beside a change may change its meaning. Returns null in all other cases,
 * and when a number is replaced, because a number and its unit belong together.
 */
function joinNeighbours({ start, end, base, edits }: Chunk): Run[] | null {
  const oldWords = new Set(lowerCaseWords(base))
  const isNew = (tokens: string[]) => lowerCaseWords(tokens).every(word => !oldWords.has(word))
  const isNumber = (word: string) => /\p{N}/u.test(word) && !/\p{L}/u.test(word)
  const all = [
    ...edits.live.map(edit => ({ ...edit, by: 'live' as const })),
    ...edits.wanted.map(edit => ({ ...edit, by: 'wanted' as const }))
  ].sort((a, b) => a.start - b.start)

  const runs: Run[] = []
  let done = start
  for (const { by, tokens, ...edit } of all) {
    const before = base.slice(edit.start - start, edit.end - start).filter(isWord)
    const isReplacement = before.length > 0 && tokens.filter(isWord).length >= before.length
    if (edit.start < done || !isReplacement || !isNew(tokens) || before.some(isNumber)) return null
    runs.push(run(base.slice(done - start, edit.start - start), 'base'), run(tokens, by))
    done = edit.end
  }
  return [...runs, run(base.slice(done - start, end - start), 'base')]
}

export function run(tokens: string[], by: Origin): Run {
  return { text: tokens.join(''), by }
}
