import { parseArgs } from 'node:util'
import { mergeText } from '../lib/merge-text.ts'
import { combine, createChange, type Relation, render, type SentenceChange } from './merge/edits.ts'
import { hostileTexts } from './merge/hostile.ts'
import { compareRealEdits } from './merge/real.ts'
import {
  chinese,
  createSentence,
  english,
  type Language,
  pick,
  seededRandom
} from './merge/sentences.ts'
import { merges } from './merge/tools.ts'

/*
 * Measures how often mergeText merges two changes of one sentence correctly, compared with node-diff3, diff-match-patch
 * and Yjs text. The changes are generated (./merge/edits.ts), so that the correct result is known: a text, or a
 * conflict. Also measures the CPU time of mergeText for hostile texts.
 *
 * node bench/merge.ts [pairs of each language = 20000] [seed = 1]
 * node bench/merge.ts --data FILE     real edits, in the format of ./merge/real.ts
 *
 * The columns: `right` counts correct results, `wrong` other texts, `conflict` conflicts although a correct text
 * exists. SHOW=1 prints the wrong merges of mergeText. A tool that reports no conflicts is never right in the last
 * group. node-diff3 receives the same tokens as mergeText.
 */
const { values, positionals } = parseArgs({
  options: { data: { type: 'string' } },
  allowPositionals: true
})
const [pairs, seed] = [Number(positionals[0] ?? 20_000), Number(positionals[1] ?? 1)]

if (values.data) {
  compareRealEdits(values.data)
} else {
  measurePairs('English', english)
  measurePairs('Chinese', chinese)
  measureHostileTexts()
}

interface Pair {
  base: string
  live: string
  wanted: string
  relation: Relation
  text: string | null
}

function measurePairs(name: string, language: Language) {
  const rnd = seededRandom(seed)
  const all: Pair[] = []
  while (all.length < pairs) {
    const words = createSentence(language, rnd)
    const [a, b] = [createChange(words, language, rnd), createChange(words, language, rnd)]
    const [base, live, wanted] = [render(words, []), after(a), after(b)] as const
    function after(by: SentenceChange) {
      return render(words, by[0] ?? [])
    }
    if (live === base || wanted === base || live === wanted) continue
    all.push({ base, live, wanted, ...combine(words, a, b) })
  }
  const known = all.filter(pair => pair.text !== null)
  const groups = {
    'independent: all': known,
    'independent: an unchanged word between them': known.filter(pair => pair.relation === 'apart'),
    'independent: neighbouring words': known.filter(pair => pair.relation === 'neighbours'),
    'overlapping: no correct text': all.filter(pair => pair.text === null)
  }
  for (const [group, members] of Object.entries(groups)) {
    console.log(`\n${name}, ${group} (${members.length} pairs)`)
    console.table(Object.fromEntries(Object.keys(merges).map(tool => [tool, score(tool, members)])))
  }
}

function score(tool: string, members: Pair[]) {
  const count = { right: 0, wrong: 0, conflict: 0 }
  for (const { base, live, wanted, text } of members) {
    const merged = merges[tool]?.(base, live, wanted) ?? null
    const verdict = merged === text ? 'right' : merged === null ? 'conflict' : 'wrong'
    count[verdict]++
    if (verdict === 'wrong' && tool === 'mergeText' && process.env.SHOW) {
      console.log({ base, live, wanted, text, merged })
    }
  }
  const share = (n: number) => `${((100 * n) / members.length).toFixed(2)} %`
  return { right: share(count.right), wrong: share(count.wrong), conflict: share(count.conflict) }
}

/** Measures the CPU time in which mergeText merges hostile texts. */
function measureHostileTexts() {
  const rnd = seededRandom(seed)
  const rows = Object.entries(hostileTexts(rnd)).map(([name, texts]) => {
    for (let i = 0; i < 10; i++) mergeText(...texts)
    const times = Array.from({ length: 5 }, () => cpuMs(() => mergeText(...texts), 20))
    const result = mergeText(...texts) === null ? 'conflict' : 'merged'
    return { name, ms: Math.min(...times), result }
  })
  console.log(
    `\nThe slowest of ${rows.length} hostile texts of 2,000 characters for mergeText, CPU time`
  )
  const slowest = rows.toSorted((a, b) => b.ms - a.ms).slice(0, 12)
  console.table(slowest.map(({ ms, ...row }) => ({ ...row, ms: ms.toFixed(1) })))

  const many = [...'abcdefghijklmnopqrstuvwxyz']
  const text = (n: number) => Array.from({ length: n }, () => pick(many, rnd)).join(' ')
  for (const n of [125, 250, 500]) {
    const three = [text(n), text(n), text(n)] as const
    const [mergeTextMs, diff3Ms] = ['mergeText', 'node-diff3'].map(tool =>
      cpuMs(() => merges[tool]?.(...three), 1).toFixed(1)
    )
    console.log(
      `${n} words rewritten by both: mergeText ${mergeTextMs} ms, node-diff3 ${diff3Ms} ms`
    )
  }
}

function cpuMs(work: () => unknown, times: number) {
  const start = process.cpuUsage()
  for (let i = 0; i < times; i++) work()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1_000 / times
}
