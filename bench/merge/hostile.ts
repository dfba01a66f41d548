import { below, pick } from './sentences.ts'

type Three = [base: string, live: string, wanted: string]

/** Returns texts of 2,000 characters that make a merge work hard. */
export function hostile(rnd: () => number): Record<string, Three> {
  const cases: Record<string, Three> = {}
  for (const [script, gap, word] of [
    ['Latin', ' ', (n: number) => `w${n}`],
    ['Han', '', (n: number) => String.fromCodePoint(0x4e00 + 7 * n)]
  ] as const) {
    for (const kinds of [1, 2, 10, 500]) {
      const known = Array.from({ length: kinds }, (_, n) => word(n))
      const base = Array.from({ length: 2_000 }, () => pick(known, rnd))
      const length = fit(base.join(gap)).split(gap).length
      for (const [how, change] of Object.entries(changes)) {
        for (const times of [20, 48, 64, 74, 100, 150]) {
          const side = (first: number) => {
            const words = base.slice(0, length)
            // From the end, evenly spread, so that a change does not move the place of the next.
            for (let n = times - 1; n >= 0; n--) {
              change(words, Math.floor(((n + first) * length) / times), () => pick(known, rnd), rnd)
            }
            return fit(words.join(gap))
          }
          const name = `${script}, ${kinds} different words, ${times} ${how}`
          cases[name] = [fit(base.join(gap)), side(0), side(0.5)]
        }
      }
    }
  }

  const ends = (text: string): Three => [fit(text), fit(`${text.slice(1)}a`), fit(`b${text}`)]
  const links = '[ab](http://a.b/c-d) '.repeat(95)
  return {
    ...cases,
    'every word in a ring of exchanges': ring(240),
    'additions that share one word': shared(33),
    'one word of 1,000 parts': ['a.'.repeat(999), `b.${'a.'.repeat(998)}`, `${'a.'.repeat(998)}c.`],
    'links, each changed by both': [
      links,
      links.replaceAll('[ab', '[ac'),
      links.replaceAll('d)', 'e)')
    ],
    'two full rewrites': [nth(0), nth(400), nth(800)],
    Thai: ends('ซื้อนมและขนมปังวันนี้'.repeat(95)),
    Khmer: ends('ខ្ញុំចង់ទិញទឹកដោះគោ'.repeat(105)),
    Burmese: ends('မြန်မာဘာသာစကားသည်'.repeat(112)),
    'Han beyond 16 bits': ends('𠀀𠀁𠀂'.repeat(333)),
    'boxes of Markdown': ends('- [ ] '.repeat(333)),
    'blanks only': [' '.repeat(2_000), '\n '.repeat(1_000), '\t '.repeat(1_000)],
    'marks on blanks': ends(' \u0301'.repeat(1_000)),
    'long numbers': ends('1 000 '.repeat(333)),
    'signs only': ends('!?'.repeat(1_000)),
    'signs in words': ends(`${'!'.repeat(40)} `.repeat(48))
  }
}

type Edit = (words: string[], at: number, word: () => string, rnd: () => number) => void

const changes: Record<string, Edit> = {
  replaced: (words, at, word) => words.splice(at, 1, word()),
  added: (words, at, word) => words.splice(at, 0, word()),
  deleted: (words, at) => words.splice(at, 1),
  'replaced by new ones': (words, at) => words.splice(at, 1, `new${at}`),
  exchanged: (words, at, _, rnd) => {
    const to = below(words.length, rnd)
    ;[words[at], words[to]] = [words[to] ?? '', words[at] ?? '']
  }
}

const fit = (text: string) => [...text].slice(0, 2_000).join('')

const nth = (first: number) => fit(Array.from({ length: 400 }, (_, n) => `w${first + n}`).join(' '))

function ring(size: number): Three {
  const text = (move: (n: number) => number) =>
    fit(Array.from({ length: size }, (_, n) => `v${move(n) % size} k${n}`).join(' '))
  return [text(n => n), text(n => n ^ 1), text(n => n + 1)]
}

function shared(size: number): Three {
  const text = (who: number) =>
    fit(
      Array.from({ length: size * 3 }, (_, n) =>
        n % 3 === who ? `k${n} a long${who}word${n}` : `k${n}`
      ).join(' ')
    )
  return [text(3), text(0), text(1)]
}
