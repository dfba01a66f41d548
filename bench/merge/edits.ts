import {
  below,
  createAddition,
  createReplacement,
  type Language,
  pick,
  type Word
} from './sentences.ts'

/** An edit that removes `remove` words at word number `at` and inserts the words `insert` there. */
export interface Splice {
  at: number
  remove: number
  insert: Word[]
}

/**
 * The change of one user: one to three splices with unchanged words between them. When different splices produce the
 * same text, all are listed as alternatives: moving a phrase behind the next phrase equals moving the next phrase
 * before it.
 */
export type SentenceChange = Splice[][]

export function createChange(base: Word[], language: Language, rnd: () => number): SentenceChange {
  const splices: Splice[] = []
  for (let left = pick([1, 1, 1, 1, 1, 2, 2, 3], rnd); left > 0; left--) {
    const alternatives = pick(kinds, rnd)(base, language, rnd)
    if (alternatives.length > 1) return alternatives
    const next = alternatives[0] ?? []
    if (next.every(a => splices.every(b => relate(a, b) === 'apart'))) splices.push(...next)
  }
  return [splices]
}

export type Relation = 'apart' | 'neighbours' | 'overlapping'

/**
 * Returns how two splices relate. `apart`: an unchanged word is between them. `neighbours`: they change different words
 * without a word between them, so that the correct result is known. `overlapping`: they change the same word or insert
 * in the same place, so that no correct result exists.
 */
export function relate(a: Splice, b: Splice): Relation {
  const [first, second] = a.at < b.at || (a.at === b.at && a.remove <= b.remove) ? [a, b] : [b, a]
  const end = first.at + first.remove
  if (end < second.at) return 'apart'
  if (end > second.at || (first.remove === 0 && second.remove === 0)) return 'overlapping'
  return 'neighbours'
}

/** Returns the relation of two changes and the correct text; the text is null when none exists. */
export function combine(
  base: Word[],
  a: SentenceChange,
  b: SentenceChange
): { relation: Relation; text: string | null } {
  const texts = new Set<string>()
  let relation: Relation = 'apart'
  for (const left of a) {
    for (const right of b) {
      // Equal splices are applied once, except when they are part of a move.
      const isSimple = a.length === 1 && b.length === 1
      const agreed = isSimple ? left.filter(x => right.some(y => isSame(base, x, y))) : []
      const rest = right.filter(y => !agreed.some(x => isSame(base, x, y)))
      const relations = left
        .filter(x => !agreed.includes(x))
        .flatMap(x => rest.map(y => relate(x, y)))
      if (relations.some(r => r !== 'apart')) relation = 'neighbours'
      if (!relations.includes('overlapping')) texts.add(render(base, [...left, ...rest]))
    }
  }
  const [text] = texts
  return texts.size === 1 && text !== undefined
    ? { relation, text }
    : { relation: 'overlapping', text: null }
}

const isSame = (base: Word[], a: Splice, b: Splice) => render(base, [a]) === render(base, [b])

/** Returns the text after the splices, which must not overlap. */
export function render(base: Word[], splices: Splice[]): string {
  const words = [...base]
  const lastFirst = splices.toSorted((a, b) => b.at - a.at || b.remove - a.remove)
  for (const { at, remove, insert } of lastFirst) words.splice(at, remove, ...insert)
  return words.map(({ before, text }, i) => (i === 0 ? text : before + text)).join('')
}

type Kind = (base: Word[], language: Language, rnd: () => number) => SentenceChange

const changeWord = (base: Word[], at: number, to: (word: string) => string): SentenceChange => {
  const old = base[at] as Word
  const text = to(old.text)
  return text === old.text ? [] : [[{ at, remove: 1, insert: [{ ...old, text }] }]]
}

const replace: Kind = (base, language, rnd) =>
  changeWord(base, below(base.length, rnd), () => createReplacement(language, base, rnd))

const respell: Kind = (base, _, rnd) =>
  changeWord(base, below(base.length, rnd), old => {
    const at = below(old.length - 1, rnd)
    if (!/^[a-z]{4,}$/i.test(old)) return old
    return old.slice(0, at) + old.charAt(at + 1) + old.charAt(at) + old.slice(at + 2)
  })

const renumber: Kind = (base, _, rnd) => {
  const numbers = base.flatMap(({ text }, i) => (/\d/.test(text) ? i : []))
  if (numbers.length === 0) return []
  return changeWord(base, pick(numbers, rnd), old =>
    old.replace(/\d+/, () => `${1 + below(200, rnd)}`)
  )
}

const insert: Kind = (base, language, rnd) => [
  [{ at: 1 + below(base.length, rnd), remove: 0, insert: createAddition(language, base, rnd) }]
]

const append: Kind = (base, language, rnd) => [
  [{ at: base.length, remove: 0, insert: createAddition(language, base, rnd) }]
]

const appendLine: Kind = (base, language, rnd) => {
  const [first, ...rest] = createAddition(language, base, rnd) as [Word, ...Word[]]
  return [[{ at: base.length, remove: 0, insert: [{ ...first, before: '\n' }, ...rest] }]]
}

const prepend: Kind = (base, language, rnd) => {
  const first = base[0] as Word
  const lowerCase = { before: language.gap, text: first.text.toLowerCase() }
  const insert = createAddition(language, base, rnd)
  if (lowerCase.text === first.text) return [[{ at: 0, remove: 0, insert }]]
  return [[{ at: 0, remove: 1, insert: [...insert, lowerCase] }]]
}

const remove: Kind = (base, _, rnd) => {
  const length = 1 + below(Math.min(4, base.length - 1), rnd)
  if (base.length < 2) return []
  return [[{ at: below(base.length - length + 1, rnd), remove: length, insert: [] }]]
}

const rewrite: Kind = (base, language, rnd) => {
  const length = 1 + below(Math.min(5, base.length), rnd)
  const at = below(base.length - length + 1, rnd)
  // Inserts only new words, because with words of the sentence another change could produce the same text.
  const [first, ...rest] = [
    ...createAddition(language, base, rnd),
    ...createAddition(language, base, rnd)
  ].filter(word => !base.some(old => old.text === word.text))
  if (!first) return []
  return [
    [{ at, remove: length, insert: [{ ...first, before: (base[at] as Word).before }, ...rest] }]
  ]
}

const capitalize: Kind = base =>
  changeWord(base, 0, old => old.charAt(0).toUpperCase() + old.slice(1))

const punctuate: Kind = (base, _, rnd) =>
  changeWord(base, base.length - 1, old => old + pick(['!', '.', '?', '…'], rnd))

/** Swaps the words `from` to `middle` with the words `middle` to `to`. */
const swap = (base: Word[], from: number, middle: number, to: number): SentenceChange =>
  from < middle && middle < to
    ? [
        [
          { at: from, remove: middle - from, insert: [] },
          { at: to, remove: 0, insert: base.slice(from, middle) }
        ],
        [
          { at: middle, remove: to - middle, insert: [] },
          { at: from, remove: 0, insert: base.slice(middle, to) }
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

// Each kind of change is listed in proportion to its approximate frequency.
const kinds: Kind[] = [
  ...[replace, replace, respell, respell, renumber, renumber],
  ...[insert, insert, insert, append, append, appendLine, prepend],
  ...[remove, remove, rewrite, capitalize, punctuate, moveWords, swapClauses]
]
