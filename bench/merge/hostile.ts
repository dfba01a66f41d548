import { below, pick } from './sentences.ts'

type MergeInput = [base: string, live: string, wanted: string]

/** Returns texts of 2,000 characters that take much time to merge. */
export function hostileTexts(rnd: () => number): Record<string, MergeInput> {
  const cases: Record<string, MergeInput> = {}
  for (const [script, gap, word] of [
    ['Latin', ' ', (n: number) => `w${n}`],
    ['Han', '', (n: number) => String.fromCodePoint(0x4e00 + 7 * n)]
  ] as const) {
    for (const kinds of [1, 2, 10, 500]) {
      const vocabulary = Array.from({ length: kinds }, (_, n) => word(n))
      const base = Array.from({ length: 2_000 }, () => pick(vocabulary, rnd))
      const length = truncate(base.join(gap)).split(gap).length
      for (const [how, change] of Object.entries(changes)) {
        for (const times of [20, 48, 64, 74, 100, 150]) {
          const side = (first: number) => {
            const words = base.slice(0, length)
            // Changes the end first, so that a change does not shift the position of the next one.
            for (let n = times - 1; n >= 0; n--) {
              change(
                words,
                Math.floor(((n + first) * length) / times),
                () => pick(vocabulary, rnd),
                rnd
              )
            }
            return truncate(words.join(gap))
          }
          const name = `${script}, ${kinds} different words, ${times} ${how}`
          cases[name] = [truncate(base.join(gap)), side(0), side(0.5)]
        }
      }
    }
  }

  const ends = (text: string): MergeInput => [
    truncate(text),
    truncate(`${text.slice(1)}a`),
    truncate(`b${text}`)
  ]
  const links = '[ab](http://a.b/c-d) '.repeat(95)
  return {
    ...cases,
    'every word swapped in a cycle': swapCycle(240),
    'additions that share one word': sharedWord(33),
    'one word of 1,000 parts': ['a.'.repeat(999), `b.${'a.'.repeat(998)}`, `${'a.'.repeat(998)}c.`],
    'links, each changed by both': [
      links,
      links.replaceAll('[ab', '[ac'),
      links.replaceAll('d)', 'e)')
    ],
    'two full rewrites': [rewritten(0), rewritten(400), rewritten(800)],
    Thai: ends('ซื้อนมและขนมปังวันนี้'.repeat(95)),
    Khmer: ends('ខ្ញុំចង់ទិញទឹកដោះគោ'.repeat(105)),
    Burmese: ends('မြန်မာဘာသာစကားသည်'.repeat(112)),
    'Han outside the BMP': ends('𠀀𠀁𠀂'.repeat(333)),
    'Markdown check boxes': ends('- [ ] '.repeat(333)),
    'blanks only': [' '.repeat(2_000), '\n '.repeat(1_000), '\t '.repeat(1_000)],
    'combining marks on blanks': ends(' \u0301'.repeat(1_000)),
    'long numbers': ends('1 000 '.repeat(333)),
    'punctuation only': ends('!?'.repeat(1_000)),
    'words of punctuation': ends(`${'!'.repeat(40)} `.repeat(48))
  }
}

type Edit = (words: string[], at: number, word: () => string, rnd: () => number) => void

const changes: Record<string, Edit> = {
  replaced: (words, at, word) => words.splice(at, 1, word()),
  added: (words, at, word) => words.splice(at, 0, word()),
  deleted: (words, at) => words.splice(at, 1),
  'replaced by new ones': (words, at) => words.splice(at, 1, `new${at}`),
  swapped: (words, at, _, rnd) => {
    const to = below(words.length, rnd)
    ;[words[at], words[to]] = [words[to] ?? '', words[at] ?? '']
  }
}

const truncate = (text: string) => [...text].slice(0, 2_000).join('')

const rewritten = (first: number) =>
  truncate(Array.from({ length: 400 }, (_, n) => `w${first + n}`).join(' '))

function swapCycle(size: number): MergeInput {
  const text = (move: (n: number) => number) =>
    truncate(Array.from({ length: size }, (_, n) => `v${move(n) % size} k${n}`).join(' '))
  return [text(n => n), text(n => n ^ 1), text(n => n + 1)]
}

function sharedWord(size: number): MergeInput {
  const text = (who: number) =>
    truncate(
      Array.from({ length: size * 3 }, (_, n) =>
        n % 3 === who ? `k${n} a long${who}word${n}` : `k${n}`
      ).join(' ')
    )
  return [text(3), text(0), text(1)]
}
