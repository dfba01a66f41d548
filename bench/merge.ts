import { mergeText } from '../lib/merge-text.ts'
import { type Change, change, type Relation, render, together } from './merge/edits.ts'
import { merges } from './merge/rivals.ts'
import {
  below,
  chinese,
  english,
  type Language,
  pick,
  random,
  sentence
} from './merge/sentences.ts'

/*
 * How often is the text merge right? Two people change one sentence, one to three things each, as
 * ./merge/edits.ts says; because every change is made by construction, the text that honours both
 * is known, or known not to exist.
 *
 * node bench/merge.ts [pairs a language = 20000] [seed = 1]
 *
 * right: the known text; where none exists, asking. wrong: any other text. asked: asked although a
 * text is known. SHOW=1 prints what mergeText got wrong. A rival that cannot ask is never right
 * about the last group; node-diff3 gets the same tokens as mergeText.
 */
const pairs = Number(process.argv[2] ?? 20_000)
const seed = Number(process.argv[3] ?? 1)

experiment('English', english)
experiment('Chinese', chinese)
worstCases()

interface Pair {
  base: string
  live: string
  wanted: string
  how: Relation
  text: string | null
}

function experiment(name: string, language: Language) {
  const rnd = random(seed)
  const all: Pair[] = []
  while (all.length < pairs) {
    const words = sentence(language, rnd)
    const [a, b] = [change(words, language, rnd), change(words, language, rnd)]
    const [base, live, wanted] = [render(words, []), after(a), after(b)] as const
    function after(by: Change) {
      return render(words, by[0] ?? [])
    }
    if (live === base || wanted === base || live === wanted) continue
    all.push({ base, live, wanted, ...together(words, a, b) })
  }
  const known = all.filter(pair => pair.text !== null)
  const groups = {
    'independent: all': known,
    'independent: a word between': known.filter(pair => pair.how === 'apart'),
    'independent: neighbouring words': known.filter(pair => pair.how === 'neighbours'),
    'overlapping: nobody can know': all.filter(pair => pair.text === null)
  }
  for (const [group, members] of Object.entries(groups)) {
    console.log(`\n${name}, ${group} (${members.length} pairs)`)
    console.table(Object.fromEntries(Object.keys(merges).map(tool => [tool, score(tool, members)])))
  }
}

function score(tool: string, members: Pair[]) {
  const count = { right: 0, wrong: 0, asked: 0 }
  for (const { base, live, wanted, text } of members) {
    const merged = merges[tool]?.(base, live, wanted) ?? null
    const verdict = merged === text ? 'right' : merged === null ? 'asked' : 'wrong'
    count[verdict]++
    if (verdict === 'wrong' && tool === 'mergeText' && process.env.SHOW) {
      console.log({ base, live, wanted, text, merged })
    }
  }
  const share = (n: number) => `${((100 * n) / members.length).toFixed(2)} %`
  return { right: share(count.right), wrong: share(count.wrong), asked: share(count.asked) }
}

/** Texts of 2,000 characters that make a merge work hard; milliseconds over 41 runs each. */
function worstCases() {
  const rnd = random(seed)
  const fit = (text: string) => text.slice(0, 2_000)
  const text = (letters: string[]) =>
    fit(Array.from({ length: 1_000 }, () => pick(letters, rnd)).join(' '))
  const two = ['a', 'b']
  const many = [...'abcdefghijklmnopqrstuvwxyz']
  const changed = (from: string, changes: number) => {
    const words = from.split(' ')
    for (let i = 0; i < changes; i++)
      words[below(words.length, rnd)] = pick(['x', 'y', 'x x', 'a'], rnd)
    return fit(words.join(' '))
  }
  const [a, plain, chaos, han] = [
    'a '.repeat(1_000),
    text(many),
    text(two),
    fit('买牛奶和面包'.repeat(334))
  ] as const
  const cases: Record<string, [string, string, string]> = {
    'a a a … against b b b … and c c c …': [a, 'b '.repeat(1_000), 'c '.repeat(1_000)],
    'a a a … shortened and lengthened': [a, fit(a).slice(200), `x ${a.slice(100)}`],
    'two full rewrites': [plain, text(many), text(many)],
    'two full rewrites in two letters': [chaos, text(two), text(two)],
    '24 words changed by each': [plain, changed(plain, 24), changed(plain, 24)],
    '24 words changed by each, two letters': [chaos, changed(chaos, 24), changed(chaos, 24)],
    'one word changed by each': [plain, `${plain}!`, `x${plain}`],
    'Chinese, every fifth word changed': [
      han,
      han.replaceAll('和', '跟'),
      han.replaceAll('买', '卖')
    ],
    'punctuation only': ['!?'.repeat(1_000), `${'!?'.repeat(999)}a`, `a${'?!'.repeat(999)}`],
    'blanks only': [' '.repeat(2_000), '\n '.repeat(1_000), '\t '.repeat(1_000)]
  }
  console.log('\nWorst cases of mergeText, 2,000 characters each')
  console.table(
    Object.fromEntries(
      Object.entries(cases).map(([name, texts]) => {
        const merged = mergeText(...texts)
        const times = Array.from({ length: 41 }, () => timed(() => mergeText(...texts))).sort(
          (x, y) => x - y
        )
        const at = (share: number) => `${times[Math.round(share * 40)]?.toFixed(1)} ms`
        return [name, { median: at(0.5), worst: at(1), answer: merged === null ? 'ask' : 'merged' }]
      })
    )
  )
  for (const n of [125, 250, 500]) {
    const three = Array.from({ length: 3 }, () => text(many).slice(0, 2 * n)) as [
      string,
      string,
      string
    ]
    const [ours, theirs] = ['mergeText', 'node-diff3'].map(tool =>
      timed(() => merges[tool]?.(...three)).toFixed(1)
    )
    console.log(`${n} words rewritten by each: mergeText ${ours} ms, node-diff3 ${theirs} ms`)
  }
}

function timed(work: () => unknown) {
  const start = performance.now()
  work()
  return performance.now() - start
}
