import { readFileSync } from 'node:fs'
import { mergeOrConflict } from '../../lib/merge-text.ts'
import { merges } from './rivals.ts'

/** A text, two edits of it, and the text that people made of both: `human`. */
interface Real {
  id: string
  /** A: `human` is the line of a merge commit. B: one change was made after the other. */
  kind: 'A' | 'B'
  base: string
  ours: string
  theirs: string
  human: string
}

/**
 * Compares the merges with what people made, blanks aside, of a file of JSON lines as `Real` says.
 * People also drop a change that fits, or write something else: "differs" is not yet wrong. SHOW=1
 * prints what mergeText merged otherwise than they did, to be read.
 */
export function compare(file: string) {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  const all = lines.map(line => JSON.parse(line) as Real)
  for (const kind of ['A', 'B'] as const) {
    const pairs = all.filter(pair => pair.kind === kind)
    const share = (n: number) => `${((100 * n) / pairs.length).toFixed(1)} %`
    const what = kind === 'A' ? 'merge commits' : 'one change after the other'
    console.log(`\n${kind}, ${what} (${pairs.length} pairs)`)
    console.table(
      Object.fromEntries(
        Object.entries(merges).map(([tool, merge]) => {
          const merged = pairs.map(pair => ({
            pair,
            text: merge(pair.base, pair.ours, pair.theirs)
          }))
          const made = merged.filter(({ text }) => text !== null)
          const differs = made.filter(({ pair, text }) => blanks(text ?? '') !== blanks(pair.human))
          if (tool === 'mergeText' && process.env.SHOW) for (const one of differs) console.log(one)
          return [
            tool,
            {
              right: share(made.length - differs.length),
              differs: share(differs.length),
              asked: share(pairs.length - made.length)
            }
          ]
        })
      )
    )
    const answers = pairs.map(({ base, ours, theirs }) => mergeOrConflict(base, ours, theirs))
    const reasons = Map.groupBy(
      answers.filter(answer => typeof answer === 'string'),
      reason => reason
    )
    console.log('why mergeText asks')
    console.table(Object.fromEntries([...reasons].map(([reason, { length }]) => [reason, length])))
  }
}

const blanks = (text: string) => text.replace(/\s+/g, ' ').trim()
