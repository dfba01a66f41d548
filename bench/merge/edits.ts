import { addition, below, type Language, pick, replacement, type Word } from './sentences.ts'

/** At word `at`: take `remove` words out and put `insert` in. */
export interface Splice {
  at: number
  remove: number
  insert: Word[]
}

/**
 * What one person does to a sentence between two syncs: one to three things apart from each other.
 * Several readings when the same text comes of different splices: a phrase moved over its
 * neighbour is also the neighbour moved over the phrase.
 */
export type Change = Splice[][]

export function change(base: Word[], language: Language, rnd: () => number): Change {
  const splices: Splice[] = []
  for (let left = pick([1, 1, 1, 1, 1, 2, 2, 3], rnd); left > 0; left--) {
    const readings = pick(kinds, rnd)(base, language, rnd)
    if (readings.length > 1) return readings
    const next = readings[0] ?? []
    if (next.every(a => splices.every(b => relation(a, b) === 'apart'))) splices.push(...next)
  }
  return [splices]
}

export type Relation = 'apart' | 'neighbours' | 'overlapping'

/**
 * apart: a word that neither touches lies between. neighbours: they touch different words with none
 * between; what both together mean is still known. overlapping: they touch the same word, or add
 * in the same place, and only people can say what comes of it.
 */
export function relation(a: Splice, b: Splice): Relation {
  const [first, second] = a.at < b.at || (a.at === b.at && a.remove <= b.remove) ? [a, b] : [b, a]
  const end = first.at + first.remove
  if (end < second.at) return 'apart'
  if (end > second.at || (first.remove === 0 && second.remove === 0)) return 'overlapping'
  return 'neighbours'
}

/** What two people did between them, and the text that says so when one is known. */
export function together(
  base: Word[],
  a: Change,
  b: Change
): { how: Relation; text: string | null } {
  const texts = new Set<string>()
  let how: Relation = 'apart'
  for (const left of a) {
    for (const right of b) {
      // Done alike is done once; but half a move is not a move.
      const isPlain = a.length === 1 && b.length === 1
      const agreed = isPlain ? left.filter(x => right.some(y => isSame(base, x, y))) : []
      const rest = right.filter(y => !agreed.some(x => isSame(base, x, y)))
      const relations = left
        .filter(x => !agreed.includes(x))
        .flatMap(x => rest.map(y => relation(x, y)))
      if (relations.some(r => r !== 'apart')) how = 'neighbours'
      if (!relations.includes('overlapping')) texts.add(render(base, [...left, ...rest]))
    }
  }
  const [text] = texts
  return texts.size === 1 && text !== undefined ? { how, text } : { how: 'overlapping', text: null }
}

const isSame = (base: Word[], a: Splice, b: Splice) => render(base, [a]) === render(base, [b])

/** The text after the splices, which overlap nowhere. */
export function render(base: Word[], splices: Splice[]): string {
  const words = [...base]
  const fromTheEnd = splices.toSorted((a, b) => b.at - a.at || b.remove - a.remove)
  for (const { at, remove, insert } of fromTheEnd) words.splice(at, remove, ...insert)
  return words.map(({ before, text }, i) => (i === 0 ? text : before + text)).join('')
}

type Kind = (base: Word[], language: Language, rnd: () => number) => Change

const word = (base: Word[], at: number, to: (word: string) => string): Change => {
  const old = base[at] as Word
  const text = to(old.text)
  return text === old.text ? [] : [[{ at, remove: 1, insert: [{ ...old, text }] }]]
}

const replace: Kind = (base, language, rnd) =>
  word(base, below(base.length, rnd), () => replacement(language, base, rnd))

const respell: Kind = (base, _, rnd) =>
  word(base, below(base.length, rnd), old => {
    const at = below(old.length - 1, rnd)
    if (!/^[a-z]{4,}$/i.test(old)) return old
    return old.slice(0, at) + old.charAt(at + 1) + old.charAt(at) + old.slice(at + 2)
  })

const renumber: Kind = (base, _, rnd) => {
  const numbers = base.flatMap(({ text }, i) => (/\d/.test(text) ? i : []))
  if (numbers.length === 0) return []
  return word(base, pick(numbers, rnd), old => old.replace(/\d+/, () => `${1 + below(200, rnd)}`))
}

const insert: Kind = (base, language, rnd) => [
  [{ at: 1 + below(base.length, rnd), remove: 0, insert: addition(language, base, rnd) }]
]

const append: Kind = (base, language, rnd) => [
  [{ at: base.length, remove: 0, insert: addition(language, base, rnd) }]
]

const appendLine: Kind = (base, language, rnd) => {
  const [first, ...rest] = addition(language, base, rnd) as [Word, ...Word[]]
  return [[{ at: base.length, remove: 0, insert: [{ ...first, before: '\n' }, ...rest] }]]
}

const prepend: Kind = (base, language, rnd) => {
  const first = base[0] as Word
  const small = { before: language.gap, text: first.text.toLowerCase() }
  const insert = addition(language, base, rnd)
  if (small.text === first.text) return [[{ at: 0, remove: 0, insert }]]
  return [[{ at: 0, remove: 1, insert: [...insert, small] }]]
}

const remove: Kind = (base, _, rnd) => {
  const length = 1 + below(Math.min(4, base.length - 1), rnd)
  if (base.length < 2) return []
  return [[{ at: below(base.length - length + 1, rnd), remove: length, insert: [] }]]
}

const rewrite: Kind = (base, language, rnd) => {
  const length = 1 + below(Math.min(5, base.length), rnd)
  const at = below(base.length - length + 1, rnd)
  // New words only: with words of the sentence the result could be read as another change.
  const [first, ...rest] = [
    ...addition(language, base, rnd),
    ...addition(language, base, rnd)
  ].filter(word => !base.some(old => old.text === word.text))
  if (!first) return []
  return [
    [{ at, remove: length, insert: [{ ...first, before: (base[at] as Word).before }, ...rest] }]
  ]
}

const capital: Kind = base => word(base, 0, old => old.charAt(0).toUpperCase() + old.slice(1))

const mark: Kind = (base, _, rnd) =>
  word(base, base.length - 1, old => old + pick(['!', '.', '?', '…'], rnd))

// The words from, up to over, change places with those up to to.
const swap = (base: Word[], from: number, over: number, to: number): Change =>
  from < over && over < to
    ? [
        [
          { at: from, remove: over - from, insert: [] },
          { at: to, remove: 0, insert: base.slice(from, over) }
        ],
        [
          { at: over, remove: to - over, insert: [] },
          { at: from, remove: 0, insert: base.slice(over, to) }
        ]
      ]
    : []

const moveWords: Kind = (base, language, rnd) => {
  const length = 1 + below(2, rnd)
  const at = below(base.length, rnd)
  const to = below(base.length + 1, rnd)
  if (!language.movable.test(base[at]?.text ?? '')) return []
  return to < at
    ? swap(base, to, at, Math.min(at + length, base.length))
    : swap(base, at, at + length, to)
}

const swapClauses: Kind = (base, _, rnd) => {
  const starts = base.flatMap(({ before, text }, i) =>
    i === 0 || before === '\n' || /[,:，]$/.test(base[i - 1]?.text ?? '') || text === 'and' ? i : []
  )
  const ends = [...starts, base.length]
  const i = below(ends.length, rnd)
  return swap(base, ends[i] ?? 0, ends[i + 1] ?? 0, ends[i + 2] ?? 0)
}

// As often as people do it, more or less.
const kinds: Kind[] = [
  ...[replace, replace, respell, respell, renumber, renumber],
  ...[insert, insert, insert, append, append, appendLine, prepend],
  ...[remove, remove, rewrite, capital, mark, moveWords, swapClauses]
]
