import { type Edit, lowerCase } from './word-edits.ts'
import { isWord } from './words.ts'

/** Who wrote a piece of a merged text; `both` is what live and wanted hold alike. */
export type By = 'base' | 'live' | 'wanted' | 'both'
export interface Run {
  text: string
  by: By
}

/** Tokens `start` to `end` of a text, which are `base`, and the edits of both sides in them. */
export interface Chunk {
  start: number
  end: number
  base: string[]
  edits: { live: Edit[]; wanted: Edit[] }
}

/** The text of a chunk, and the edits that only one side made, and those that both made. */
export interface Settled {
  runs: Run[]
  live: Edit[]
  wanted: Edit[]
  agreed: Edit[]
}

/** Merges a chunk by the first rule that fits. Returns null when none does. */
export function mergeChunk(chunk: Chunk): Settled | null {
  const larger = takeLarger(chunk)
  if (larger) return larger
  const runs = mergeParts(chunk) ?? joinNeighbours(chunk)
  return runs && { runs, ...chunk.edits, agreed: [] }
}

/**
 * Takes the text of one side when each small change of the other side is also one of its own: the
 * other changed nothing here, or the same, or the same and less.
 */
function takeLarger({ start, end, base, edits }: Chunk): Settled | null {
  const names = (of: Edit[]) => new Set(of.flatMap(edit => [...edit.names]))
  const [live, wanted] = [names(edits.live), names(edits.wanted)]
  if (live.isSubsetOf(wanted) && !isChance(edits.wanted, live)) {
    const isSame = wanted.size === live.size
    const runs = mark(edits.wanted, live, 'wanted')
    return { runs, live: [], wanted: isSame ? [] : edits.wanted, agreed: edits.live }
  }
  if (wanted.isSubsetOf(live) && !isChance(edits.live, wanted)) {
    return {
      runs: mark(edits.live, wanted, 'live'),
      live: edits.live,
      wanted: [],
      agreed: edits.wanted
    }
  }
  return null

  /** A shared word amid words that only one side changed is chance: both rewrote the phrase. */
  function isChance(large: Edit[], shared: Set<string>): boolean {
    return large.some(({ changes }) => {
      const phrases = changes.map(({ start: from, name }, i) => {
        const kept = base.slice((changes[i - 1]?.end ?? from) - start, from - start)
        return (kept.some(isWord) ? ' ' : '') + (shared.has(name) ? 's' : 'o')
      })
      return /os+o/.test(phrases.join(''))
    })
  }

  function mark(large: Edit[], shared: Set<string>, by: By): Run[] {
    const runs: Run[] = []
    let done = start
    for (const change of large.flatMap(({ changes }) => changes)) {
      runs.push(run(base.slice(done - start, change.start - start), 'base'))
      runs.push(run(change.tokens, shared.has(change.name) ? 'both' : by))
      done = change.end
    }
    return [...runs, run(base.slice(done - start, end - start), 'base')]
  }
}

/**
 * Merges two changes of one word when a part with letters lies unchanged between them, and neither
 * touches a part with a digit: an address with another host and another page, a link with another
 * text and another target. A part is a run of letters and digits, or of signs.
 */
function mergeParts({ start, end, edits, ...chunk }: Chunk): Run[] | null {
  const whole = [...edits.live, ...edits.wanted].filter(e => e.start === start && e.end === end)
  if (edits.live.length !== 1 || edits.wanted.length !== 1 || whole.length !== 2) return null
  const [base, live, wanted] = [chunk.base, ...whole.map(({ tokens }) => tokens)].map(partsOf)
  if (!base || !live || !wanted) return null
  const a = { ...edge(base, live), by: 'live' as const }
  const b = { ...edge(base, wanted), by: 'wanted' as const }
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

/** Returns the parts of a single word; undefined when it is not one, or holds anything invisible. */
function partsOf([word = '', ...more]: string[]): string[] | undefined {
  const parts = word.match(PART) ?? []
  return more.length === 0 && parts.join('') === word ? parts : undefined
}

/** Returns the one piece of base that changed; between repeated parts, all that may have changed. */
function edge(base: string[], text: string[]) {
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
 * Joins changes of neighbouring words when each replaces words by at least as many, all of them new
 * to the chunk: who inserts, deletes or moves words beside a change means something else. A number
 * and its unit are one thing: a changed number beside a changed word is a question.
 */
function joinNeighbours({ start, end, base, edits }: Chunk): Run[] | null {
  const said = new Set(lowerCase(base))
  const isNew = (tokens: string[]) => lowerCase(tokens).every(word => !said.has(word))
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

export function run(tokens: string[], by: By): Run {
  return { text: tokens.join(''), by }
}
