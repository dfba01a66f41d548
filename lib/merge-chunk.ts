import { isSubset } from './sets.ts'
import { type Edit, lowerCaseWords } from './word-edits.ts'
import { isWord } from './words.ts'

/** The text that contains a piece of the merged text. `both` means that live and wanted made the same change. */
export type Origin = 'base' | 'live' | 'wanted' | 'both'

export interface Run {
  text: string
  by: Origin
}

/** The tokens `start` to `end` of the old text, which `base` contains, and the edits of these tokens by both sides. */
export interface Chunk {
  start: number
  end: number
  base: string[]
  edits: { live: Edit[]; wanted: Edit[] }
}

/** `live` and `wanted` contain the edits that only one side made, `agreed` the edits that both sides made. */
export interface MergedChunk {
  runs: Run[]
  live: Edit[]
  wanted: Edit[]
  agreed: Edit[]
}

/** Merges a chunk by the first rule that applies. Returns null, which means a conflict, when no rule applies. */
export function mergeChunk(chunk: Chunk): MergedChunk | null {
  const superset = takeSuperset(chunk)
  if (superset) return superset
  const runs = mergeParts(chunk) ?? joinNeighbours(chunk)
  return runs && { runs, ...chunk.edits, agreed: [] }
}

/** Returns the text of the side that made all changes of the other side. Returns null when neither side did. */
function takeSuperset({ start, end, base, edits }: Chunk): MergedChunk | null {
  const keys = (side: Edit[]) => new Set(side.flatMap(edit => [...edit.keys]))
  const [live, wanted] = [keys(edits.live), keys(edits.wanted)]
  if (isSubset(live, wanted) && !isCoincidence(edits.wanted, live)) {
    const isSame = wanted.size === live.size
    const runs = toRuns(edits.wanted, live, 'wanted')
    return { runs, live: [], wanted: isSame ? [] : edits.wanted, agreed: edits.live }
  }
  if (isSubset(wanted, live) && !isCoincidence(edits.live, wanted)) {
    return {
      runs: toRuns(edits.live, wanted, 'live'),
      live: edits.live,
      wanted: [],
      agreed: edits.wanted
    }
  }
  return null

  // Own changes (o) directly before and after a shared change (s): both users rewrote the phrase.
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

// Merges two changes of one word, such as the host and the page of a URL. An unchanged part with letters must be
// between them, and neither may change a part with a digit.
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

// Returns undefined for several words and for a word with invisible characters.
function splitParts([word = '', ...more]: string[]): string[] | undefined {
  const parts = word.match(PART) ?? []
  return more.length === 0 && parts.join('') === word ? parts : undefined
}

// When a part is repeated ("na-na"), the change may have several places: the range includes all of them.
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

// Merges changes of neighbouring words. A word that is inserted, deleted or moved next to a change may alter its
// meaning, so each change must replace words by at least as many new words. A number and its unit belong together.
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
