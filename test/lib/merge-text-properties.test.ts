import fc from 'fast-check'
import { diff3Merge } from 'node-diff3'
import t from 'tap'
import { mergeText as merge } from '../../lib/merge-text.ts'
import { tokenize } from '../../lib/words.ts'
import { mergedParts, mergedText } from '../support/merge-text.ts'

const units = fc
  .array(fc.integer({ min: 0, max: 0xffff }))
  .map(units => String.fromCharCode(...units))
const anything = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), units)
// Uses only a few different words, so that texts share, repeat and move them.
const shared = fc
  .array(
    fc.constantFrom(
      'a',
      'b',
      'c',
      'the',
      'milk',
      '\n',
      '买',
      '牛奶',
      '🇩🇪',
      '👨‍👩‍👧',
      'e\u0301',
      'ที่นี่'
    )
  )
  .chain(parts => fc.constantFrom(' ', '').map(blank => parts.join(blank)))
const texts = fc.oneof(
  { weight: 1, arbitrary: fc.tuple(anything, anything, anything) },
  { weight: 3, arbitrary: fc.tuple(shared, shared, shared) },
  { weight: 6, arbitrary: edited() }
)

/** Generates a text of up to 20 words and two texts made from it by splices. */
function edited() {
  const word = fc.oneof(
    fc.constantFrom('a', 'b', 'c', 'd', 'A', '12', '- [ ]', '- [x]'),
    fc.constantFrom('ab/cd/ef', 'gh/cd/ef', 'ab/cd/ij', 'ab/cd.7/ef', '(ab/cd/ef', 'ab/cd/ef.'),
    fc.nat(99).map(n => `w${n}`)
  )
  const splice = fc.record({
    at: fc.nat(20),
    remove: fc.nat(3),
    insert: fc.array(word, { maxLength: 3 })
  })
  const splices = fc.array(splice, { minLength: 1, maxLength: 3 })
  return fc.tuple(fc.array(word, { maxLength: 20 }), splices, splices).map(([base, ...sides]) => {
    const [live, wanted] = sides.map(side => {
      const words = [...base]
      for (const { at, remove, insert } of side) words.splice(at, remove, ...insert)
      return words.join(' ')
    })
    return [base.join(' '), live, wanted] as [string, string, string]
  })
}

function always(name: string, holds: (base: string, live: string, wanted: string) => boolean) {
  t.test(name, async t => {
    fc.assert(
      fc.property(texts, three => holds(...three)),
      { numRuns: 2_000 }
    )
    t.pass()
  })
}

always(
  'the merge does not depend on the order of arrival',
  (base, live, wanted) => mergedText(base, live, wanted) === mergedText(base, wanted, live)
)

always('the parts cover the text, and swapped sides swap their parts', (base, live, wanted) => {
  const merged = merge(base, live, wanted)
  if (!merged) return true
  const mirror = { base: 'base', both: 'both', live: 'wanted', wanted: 'live' } as const
  const mirrored = merge(base, wanted, live)?.parts.map(({ length, by }) => ({
    length,
    by: mirror[by]
  }))
  const { value, parts } = merged
  return (
    JSON.stringify(parts) === JSON.stringify(mirrored) &&
    parts.reduce((sum, { length }) => sum + length, 0) === value.length &&
    parts.every(({ length, by }, i) => length > 0 && by !== parts[i - 1]?.by) &&
    parts.length <= 64
  )
})

always('a part of one side occurs in the text of that side', (base, live, wanted) => {
  const all = mergedParts(base, live, wanted)
  const stands = ({ text, by }: (typeof all)[number]) =>
    (by === 'wanted' || by === 'base' || live.includes(text)) &&
    (by === 'live' || by === 'base' || wanted.includes(text))
  return all.length === 1 || all.every(stands)
})

always(
  'a merge with an unchanged or equal side returns the other side',
  (base, live) =>
    mergedText(base, live, base) === live &&
    mergedText(base, base, live) === live &&
    mergedText(base, live, live) === live
)

always('merging the same change twice changes nothing', (base, live, wanted) => {
  const merged = mergedText(base, live, wanted)
  const again = merged === null ? null : mergedText(base, merged, wanted)
  return again === null || again === merged
})

always('a merge adds no unknown word and loses no added word', (base, live, wanted) => {
  const merged = mergedText(base, live, wanted)
  // In scripts without spaces, the neighbouring characters decide where a word ends.
  if (merged === null || /[买ท]/.test(base + live + wanted)) return true
  const [b, l, w, m] = [base, live, wanted, merged].map(count) as [Bag, Bag, Bag, Bag]
  for (const word of new Set([...b.keys(), ...l.keys(), ...w.keys(), ...m.keys()])) {
    const [was, ours, theirs, now] = [b, l, w, m].map(bag => bag.get(word) ?? 0) as Counts
    if (now > ours + theirs) return false
    if (was === 0 && now < Math.max(ours, theirs)) return false
  }
  return true
})

type Bag = Map<string, number>
type Counts = [number, number, number, number]

/**
 * Counts every sequence of letters and digits and every sequence of other signs, because parts of a word can be merged.
 */
function count(text: string): Bag {
  const bag: Bag = new Map()
  for (const word of text.match(/[\p{L}\p{N}\p{M}]+|[^\s\p{L}\p{N}\p{M}]+/gu) ?? [])
    bag.set(word, (bag.get(word) ?? 0) + 1)
  return bag
}

always('a merge splits no character', (base, live, wanted) => {
  const merged = mergedText(base, live, wanted)
  const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' })
  const characters = (text: string) => Array.from(segmenter.segment(text), ({ segment }) => segment)
  const known = new Set([...characters(live), ...characters(wanted)])
  return merged === null || characters(merged).every(character => known.has(character))
})

/**
 * Generates base words, each of which one side or no side has changed: replaced, deleted, or followed by an added word.
 * Every added word is new, so that the merged text is known.
 */
const known = fc
  .array(
    fc.record({
      word: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      by: fc.constantFrom('neither', 'neither', 'live', 'wanted'),
      change: fc.constantFrom('replace', 'add', 'delete')
    }),
    { minLength: 1, maxLength: 20 }
  )
  .chain(steps => fc.boolean().map(isDistinct => ({ steps, isDistinct })))

t.test('changes with an unchanged word between them merge completely or conflict', async t => {
  let merges = 0
  fc.assert(
    fc.property(known, ({ steps, isDistinct }) => {
      const text = (...by: string[]) =>
        steps
          .flatMap(({ word, by: side, change }, i) => {
            const old = isDistinct ? `${word}${i}` : word
            // Which copy of a repeated word was deleted is ambiguous, so only distinct words are deleted.
            if (!by.includes(side) || (change === 'delete' && !isDistinct)) return old
            return change === 'replace' ? `new${i}` : change === 'add' ? [old, `new${i}`] : []
          })
          .join(' ')
      const [base, live, wanted] = [text(), text('live'), text('wanted')]
      const merged = mergedText(base, live, wanted)
      if (merged !== null) merges++
      return merged === null || merged === text('live', 'wanted')
    }),
    { numRuns: 5_000 }
  )
  t.ok(merges > 1_000, `${merges} of 5000 merged`)
})

t.test('a merge of texts without repeated words equals that of diff3', async t => {
  let both = 0
  const distinct = known.filter(({ isDistinct }) => isDistinct)
  fc.assert(
    fc.property(distinct, ({ steps }) => {
      const text = (by?: string) =>
        steps
          .flatMap(({ by: side, change }, i) => {
            if (by !== side) return `w${i}`
            return change === 'replace' ? `new${i}` : change === 'add' ? [`w${i}`, `new${i}`] : []
          })
          .join(' ')
      const [base, live, wanted] = [text(), text('live'), text('wanted')]
      const regions = diff3Merge(tokenize(live), tokenize(base), tokenize(wanted))
      const merged = mergedText(base, live, wanted)
      if (merged === null || regions.some(({ conflict }) => conflict)) return true
      both++
      return merged === regions.flatMap(({ ok }) => ok ?? []).join('')
    }),
    { numRuns: 1_000 }
  )
  t.ok(both > 100, `${both} of 1000 compared`)
})
