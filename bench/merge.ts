import { parseArgs } from 'node:util'
import { mergeText } from '../lib/merge-text.ts'
import { type Change, change, type Relation, render, together } from './merge/edits.ts'
import { hostile } from './merge/hostile.ts'
import { compare } from './merge/real.ts'
import { merges } from './merge/rivals.ts'
import { chinese, english, type Language, pick, random, sentence } from './merge/sentences.ts'

/*
 * How often is the text merge right? Two people change one sentence, one to three things each, as
 * ./merge/edits.ts says; because every change is made by construction, the text that honours both
 * is known, or known not to exist.
 *
 * node bench/merge.ts [pairs a language = 20000] [seed = 1]
 * node bench/merge.ts --data FILE     pairs that people made, as ./merge/real.ts says
 *
 * right: the known text; where none exists, asking. wrong: any other text. asked: asked although a
 * text is known. SHOW=1 prints what mergeText got wrong. A rival that cannot ask is never right
 * about the last group; node-diff3 gets the same tokens as mergeText.
 */
const { values, positionals } = parseArgs({
  options: { data: { type: 'string' } },
  allowPositionals: true
})
const [pairs, seed] = [Number(positionals[0] ?? 20_000), Number(positionals[1] ?? 1)]

if (values.data) {
  compare(values.data)
} else {
  experiment('English', english)
  experiment('Chinese', chinese)
  worstCases()
}

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

/** Times the merge of hostile texts, in CPU time: other processes do not count. */
function worstCases() {
  const rnd = random(seed)
  const rows = Object.entries(hostile(rnd)).map(([name, texts]) => {
    for (let i = 0; i < 10; i++) mergeText(...texts)
    const times = Array.from({ length: 5 }, () => cpuMs(() => mergeText(...texts), 20))
    const answer = mergeText(...texts) === null ? 'ask' : 'merged'
    return { name, ms: Math.min(...times), answer }
  })
  console.log(
    `\nWorst of ${rows.length} hostile cases of mergeText, 2,000 characters each, CPU time`
  )
  const worst = rows.toSorted((a, b) => b.ms - a.ms).slice(0, 12)
  console.table(worst.map(({ ms, ...row }) => ({ ...row, ms: ms.toFixed(1) })))

  const many = [...'abcdefghijklmnopqrstuvwxyz']
  const text = (n: number) => Array.from({ length: n }, () => pick(many, rnd)).join(' ')
  for (const n of [125, 250, 500]) {
    const three = [text(n), text(n), text(n)] as const
    const [ours, theirs] = ['mergeText', 'node-diff3'].map(tool =>
      cpuMs(() => merges[tool]?.(...three), 1).toFixed(1)
    )
    console.log(`${n} words rewritten by each: mergeText ${ours} ms, node-diff3 ${theirs} ms`)
  }
}

function cpuMs(work: () => unknown, times: number) {
  const start = process.cpuUsage()
  for (let i = 0; i < times; i++) work()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1_000 / times
}
