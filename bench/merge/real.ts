import { readFileSync } from 'node:fs'
import { mergeOrConflict } from '../../lib/merge-text.ts'
import { merges } from './tools.ts'

/** A text, two edits of it, and the text into which its authors merged both (`human`). */
interface RealEdit {
  id: string
  /** A: `human` is a line of a merge commit. B: the second edit was made after the first. */
  kind: 'A' | 'B'
  base: string
  ours: string
  theirs: string
  human: string
}

/**
 * Compares merges with the texts of the authors, ignoring blanks. `file` contains a RealEdit as JSON in each line. A
 * merge that differs is not always wrong, because authors sometimes drop a change or write another text. SHOW=1 prints
 * the merges of mergeText that differ.
 */
export function compareRealEdits(file: string) {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  const all = lines.map(line => JSON.parse(line) as RealEdit)
  for (const kind of ['A', 'B'] as const) {
    const pairs = all.filter(pair => pair.kind === kind)
    const share = (n: number) => `${((100 * n) / pairs.length).toFixed(1)} %`
    const title = kind === 'A' ? 'merge commits' : 'one edit after the other'
    console.log(`\n${kind}, ${title} (${pairs.length} pairs)`)
    console.table(
      Object.fromEntries(
        Object.entries(merges).map(([tool, merge]) => {
          const merged = pairs.map(pair => ({
            pair,
            text: merge(pair.base, pair.ours, pair.theirs)
          }))
          const texts = merged.filter(({ text }) => text !== null)
          const differs = texts.filter(
            ({ pair, text }) => normalizeBlanks(text ?? '') !== normalizeBlanks(pair.human)
          )
          if (tool === 'mergeText' && process.env.SHOW) for (const one of differs) console.log(one)
          return [
            tool,
            {
              same: share(texts.length - differs.length),
              differs: share(differs.length),
              conflict: share(pairs.length - texts.length)
            }
          ]
        })
      )
    )
    const results = pairs.map(({ base, ours, theirs }) => mergeOrConflict(base, ours, theirs))
    const reasons = Map.groupBy(
      results.filter(result => typeof result === 'string'),
      reason => reason
    )
    console.log('reasons of the conflicts of mergeText')
    console.table(Object.fromEntries([...reasons].map(([reason, { length }]) => [reason, length])))
  }
}

const normalizeBlanks = (text: string) => text.replace(/\s+/g, ' ').trim()
