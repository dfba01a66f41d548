import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { diff3Merge } from 'node-diff3'
import t from 'tap'
import { mergeText as merge } from '../../lib/merge-text.ts'
import { words } from '../../lib/words.ts'

const mergeText = (...texts: [string, string, string]) => merge(...texts)?.value ?? null

/** `merged` is null when the merge is a conflict. */
type Case = [base: string, live: string, wanted: string, merged: string | null]

function check(name: string, cases: Case[]) {
  t.test(name, async t => {
    for (const [base, live, wanted, merged] of cases) {
      t.equal(mergeText(base, live, wanted), merged, `${live} + ${wanted}`)
      t.equal(mergeText(base, wanted, live), merged, 'sides swapped')
    }
  })
}

check('changes with an unchanged word between them merge', [
  [
    'Buy milk and bread',
    'Buy oat milk and bread',
    'Buy milk and rye bread',
    'Buy oat milk and rye bread'
  ],
  ['Recieve parcel', 'Receive parcel', 'Recieve parcel from DHL', 'Receive parcel from DHL'],
  [
    'Buy two eggs and some milk',
    'Get six eggs and some milk',
    'Buy two eggs and no tea',
    'Get six eggs and no tea'
  ],
  ['buy milk and bread', 'Buy milk and bread', 'buy milk and bread!', 'Buy milk and bread!'],
  ['Buy milk', 'Buy oat milk', 'Buy milk today', 'Buy oat milk today'],
  ['Buy milk today', 'Buy oat milk today', 'Buy milk today please', 'Buy oat milk today please'],
  ['Buy milk', 'Buy milk and bread soon', 'Please buy milk', 'Please buy milk and bread soon'],
  [
    'Buy milk and bread then call Bob now',
    'Buy oat milk and rye bread then call Bob now',
    'Buy milk and bread then call Bob tomorrow',
    'Buy oat milk and rye bread then call Bob tomorrow'
  ],
  [
    'Please send the report to Ann today',
    'Please send the final report to Ann today',
    'Please send the report to Ann',
    'Please send the final report to Ann'
  ],
  [
    'Pay 100 EUR to Bob by 12:30',
    'Pay 150 EUR to Bob by 12:30',
    'Pay 100 EUR to Bob by 14:45',
    'Pay 150 EUR to Bob by 14:45'
  ],
  [
    'Upgrade to v1.2.3 as https://a.org/x says today',
    'Upgrade to v1.2.4 as https://a.org/x says today',
    'Upgrade to v1.2.3 as https://a.org/y says today',
    'Upgrade to v1.2.4 as https://a.org/y says today'
  ],
  [
    'Send report to Ann and Bob',
    'Send report with the figures to Ann and Bob',
    'Send report to Ann and Bob in the morning',
    'Send report with the figures to Ann and Bob in the morning'
  ]
])

check('changes of the same words conflict', [
  ['Call Bob', 'Call Alice', 'Call Carol', null],
  ['Pay 100 EUR to landlord', 'Pay 120 EUR to landlord', 'Pay 150 EUR to landlord', null],
  ['Order chairs', 'Order 12 chairs', 'Order 15 chairs', null],
  ['Order 1 chairs', 'Order 12 chairs', 'Order 15 chairs', null],
  [
    'Please send the report to Ann',
    'Please send to Ann',
    'Please send the final report to Ann',
    null
  ],
  ['Buy milk', 'Buy milk today', 'Buy milk now', null],
  ['Buy milk', 'Please buy milk', 'Maybe buy milk', null],
  ['Fund 1 000 000 now', 'Fund 2 000 000 now', 'Fund 1 000 500 now', null],
  ['one', 'two', 'three', null],
  ['', 'one', 'two', null],
  ['Feed the cat', '', 'Feed the dog', null]
])

check('insertions, deletions, moves and numbers next to a change conflict', [
  ['Buy milk', 'Buy oat milk', 'Get milk', null],
  ['Buy milk now', 'Buy now', 'Buy milk today', null],
  ['Get some milk now', 'Get milk now', 'Get some tea now', null],
  ['Pay 100 EUR now', 'Pay 120 EUR now', 'Pay 100 USD now', null],
  ['Meet at 10:30 today', 'Meet at 11:30 today', 'Meet at 10:30 tomorrow', null],
  ['red roof to Ann', 'roof red to Ann', 'red roof for Ann', null]
])

check('neighbouring words replaced by as many or more words merge', [
  ['Call Bob', 'Phone Bob', 'Call Robert', 'Phone Robert'],
  ['one\ntwo', 'one!\ntwo', 'one\ntwo!', 'one!\ntwo!'],
  ['Call Bob now', 'Phone Bob tomorrow', 'Call Robert now', 'Phone Robert tomorrow'],
  ['Call Bob', 'Phone Bob', 'Call Robert Smith', 'Phone Robert Smith'],
  ['- [ ] Buy milk', '- [x] Buy milk', '- [ ] Get milk', '- [x] Get milk'],
  ['Call Bob', 'Zoë Bob', 'Call Zoë', null],
  // "the" and "The" are one word: the first phrase of a moved pair is no replacement.
  [
    'the red roof goes to Ann, the large paper goes to Bob, all of it',
    'The red roof goes to Ann, the large paper goes to Bob, all of it',
    'the large paper goes to Bob, the red roof goes to Ann, all of it',
    null
  ]
])

check('changes of parts of one word merge, except digits', [
  [
    'Read https://a.org/x now',
    'Read https://b.org/x now',
    'Read https://a.org/y now',
    'Read https://b.org/y now'
  ],
  ['See [text](link) soon', 'See [a text](link) soon', 'See [text](lnk) soon', null],
  [
    'See [text](a/link) soon',
    'See [book](a/link) soon',
    'See [text](a/page) soon',
    'See [book](a/page) soon'
  ],
  ['the well-known-fact', 'the “well-known-fact', 'the well-known-fact”', 'the “well-known-fact”'],
  ['Read a/b/c', 'Read x/b/c', 'Read a/y/c', null],
  ['Read a/b.1/c', 'Read x/b.1/c', 'Read a/b.2/c', null],
  ['on 2026-mar-01', 'on 2025-mar-01', 'on 2026-mar-02', null],
  // Between repeated parts the place is ambiguous.
  ['Say na-na-na-hey now', 'Say na-na-hey now', 'Say na-na-na-hi now', null],
  ['Say a\u200db-c-d', 'Say x\u200db-c-d', 'Say a\u200db-c-e', null]
])

check('a side that made the same change and more wins', [
  ['Order blue chairs', 'Order green chairs', 'Order green tables', 'Order green tables'],
  ['a b c d', 'x b c d', 'x y z d', 'x y z d'],
  // One word that both sides share within replaced words is a coincidence.
  [
    'buy 3 bottles of butter and bread',
    'buy 3 bottles of paper and bread',
    'buy 3 2 kg paper for Müller',
    null
  ]
])

check('a repeated phrase with a change of one copy conflicts', [
  [
    'order 3 bottles of apples',
    'order 127 bottles of and 3 bottles of butter apples',
    'order 3 fresh bottles of apples',
    null
  ]
])

check('the same change on both sides is made once', [
  ['Call Bob', 'Call Alice', 'Call Alice', 'Call Alice'],
  [
    'recieve the big parcel',
    'Receive the big parcel',
    'Receive the big box',
    'Receive the big box'
  ],
  ['Buy milk now', 'Get oat milk now', 'Get oat milk later', 'Get oat milk later'],
  ['a b c d e', 'x b y d e', 'a b y d z', 'x b y d z'],
  ['a b c', 'x y c', 'a y z', null],
  ['buy a bag of rice now', 'buy a bag of nuts now', 'buy a can with nuts later', null],
  [
    'one two three four five',
    'two three FOUR five',
    'two three four five six',
    'two three FOUR five six'
  ]
])

check('the same words added or deleted in two places conflict', [
  ['Buy milk and bread', 'Today buy milk and bread', 'Buy milk and bread today', null],
  ['Buy milk and bread', 'On Monday buy milk and bread', 'Buy milk and bread Monday morning', null],
  ['Buy milk, eggs and milk', 'Buy eggs and milk', 'Buy milk, eggs', null],
  [
    'Call Bob and Ann about it now',
    'Bob call and Ann about it now',
    'Call and Ann about it now Bob',
    null
  ],
  ['Today call Bob about it', 'call Bob about it today', 'call Bob about it', null]
])

check('additions that share only small words merge', [
  [
    'Send report to Ann and Bob',
    'Send the report to Ann and Bob',
    'Send report to Ann and Bob before the meeting',
    'Send the report to Ann and Bob before the meeting'
  ]
])

check('a repeated word with an ambiguous place conflicts', [
  ['very very very good', 'very very good', 'very very very very good', null],
  ['ha ha ha', 'ha ha ha ha', 'ha ho ha', null]
])

check('swapped phrases count as one change', [
  [
    'a new roof goes to Bob, the red desk goes to Omar, all today',
    'the red desk goes to Omar, a new roof goes to Bob, all today',
    'a new roof goes to Bob, the red desk goes soon to Omar, all today',
    null
  ],
  [
    'A roof goes to Ann, a desk goes to Bob, all today',
    'A desk goes to Bob, a roof goes to Ann, all today',
    'A roof goes soon to Ann, a desk goes to Bob, all today',
    null
  ],
  [
    'A roof goes to Ann, a desk goes to Bob, all today',
    'A desk goes to Bob, a roof goes to Ann, all today',
    'A roof goes to Ann, a desk goes to Bob, all today or tomorrow',
    'A desk goes to Bob, a roof goes to Ann, all today or tomorrow'
  ],
  [
    'Today buy milk and bread',
    'buy milk and bread today',
    'Today buy milk and some bread',
    'buy milk and some bread today'
  ]
])

check('changes of different lines merge for every kind of line break', [
  [
    'Steps:\nbuild it\ntest it\nship it',
    'Steps:\nbuild it twice\ntest it\nship it',
    'Steps:\nbuild it\ntest it\nship it on Monday',
    'Steps:\nbuild it twice\ntest it\nship it on Monday'
  ],
  ['a b\r\nc d\ne f', 'A b\r\nc d\ne f', 'a b\r\nc d\ne f\r\ng', 'A b\r\nc d\ne f\r\ng'],
  ['a b\r\nc d\re f', 'a b\nc d\re f', 'a b\r\nc d\re F', 'a b\nc d\re F'],
  [
    'one\ntwo\nthree',
    'one\ntwo\nthree\nfour',
    'zero\none\ntwo\nthree',
    'zero\none\ntwo\nthree\nfour'
  ],
  ['one two', 'one two\nthree', 'one two\nfour', null]
])

check('text without spaces merges by words', [
  ['买牛奶和面包', '买燕麦牛奶和面包', '买牛奶和黑面包', '买燕麦牛奶和黑面包'],
  ['买牛奶和面包', '买豆浆和面包', '买咖啡和面包', null],
  ['付100元给老师', '付120元给老师', '付150元给老师', null],
  ['牛乳とパンを買う', '豆乳とパンを買う', '牛乳とパンを二つ買う', '豆乳とパンを二つ買う'],
  ['ซื้อนมและขนมปัง', 'ซื้อนมและขนมปังวันนี้', 'ซื้อนมสดและขนมปัง', 'ซื้อนมสดและขนมปังวันนี้'],
  ['买iPhone15给小王', '买iPhone16给小王', '买iPhone15 Pro给小王', null]
])

check('emoji and combining marks merge as whole characters', [
  ['👨‍👩‍👧 buy milk 🇩🇪', '👨‍👩‍👧‍👦 buy milk 🇩🇪', '👨‍👩‍👧 buy milk 🇫🇷', '👨‍👩‍👧‍👦 buy milk 🇫🇷'],
  ['party 👨‍👩‍👧', 'party 👨‍👩‍👧‍👦', 'party 👩‍👩‍👧', null],
  ['well done 👍', 'well done 👍🏽', 'well done 👍🏿', null],
  ['🇩🇪🇫🇷 or bust', '🇩🇪🇪🇸 or bust', '🇮🇹🇫🇷 or bust', null],
  [
    'cafe and the\u0301 now',
    'cafe\u0301 and the\u0301 now',
    'cafe and the\u0302 now',
    'cafe\u0301 and the\u0302 now'
  ],
  ['the cafe', 'the cafe\u0301', 'the cafe\u0300', null]
])

t.test('texts beyond the limits conflict, unless one side is unchanged', async t => {
  const long = 'ab '.repeat(1_400)
  t.equal(mergeText(long, `${long}c`, `d ${long}`), null)
  t.equal(mergeText(long, long, `d ${long}`), `d ${long}`)
  const numbers = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => `n${from + i}`).join(' ')
  t.equal(mergeText(numbers(0, 200), numbers(200, 400), `${numbers(0, 200)} end`), null)
  t.equal(
    mergeText(numbers(0, 100), `first ${numbers(1, 100)}`, numbers(0, 400)),
    `first ${numbers(1, 400)}`,
    'one long addition merges'
  )
})

t.test('more than 64 changed places on one side conflict', async t => {
  const text = (word: (n: number) => string) =>
    Array.from({ length: 70 }, (_, n) => `${word(n)} k${n}`).join(' ')
  t.equal(
    mergeText(
      text(n => `a${n}`),
      text(n => `b${n}`),
      `${text(n => `a${n}`)} end`
    ),
    null
  )
})

t.test('the ten examples of docs/merging.md merge as documented', async t => {
  const page = readFileSync(new URL('../../docs/merging.md', import.meta.url), 'utf8')
  const rows = page
    .split('\n')
    .filter(line => line.startsWith('| '))
    .map(line => line.slice(2, -2).split(' | ') as [string, string, string, string])
    .slice(2)
  t.equal(rows.length, 10)
  for (const [base, live, wanted, result] of rows) {
    t.equal(mergeText(base, live, wanted) ?? 'conflict', result, `${live} + ${wanted}`)
    t.equal(mergeText(base, wanted, live) ?? 'conflict', result, 'sides swapped')
  }
})

t.test('parts name the side that wrote each word', async t => {
  const parts = (...texts: [string, string, string]) =>
    runs(...texts).map(({ text, by }) => `${by}: ${text}`)
  t.strictSame(parts('Buy milk and bread', 'Buy oat milk and bread', 'Buy milk and rye bread'), [
    'base: Buy ',
    'live: oat ',
    'base: milk and ',
    'wanted: rye ',
    'base: bread'
  ])
  t.strictSame(parts('Order blue chairs', 'Order green chairs', 'Order green tables'), [
    'base: Order ',
    'both: green',
    'base:  ',
    'wanted: tables'
  ])
  t.strictSame(parts('Read https://a.org/x', 'Read https://b.org/x', 'Read https://a.org/y'), [
    'base: Read https://',
    'live: b',
    'base: .org/',
    'wanted: y'
  ])
  t.strictSame(parts('Call Bob', 'Phone Bob', 'Call Robert'), [
    'live: Phone',
    'base:  ',
    'wanted: Robert'
  ])
  t.strictSame(parts('a', 'b', 'b'), ['both: b'])
  t.strictSame(parts('a', 'b', 'a'), ['live: b'])
  t.strictSame(parts('a', 'a', 'b'), ['wanted: b'])
  t.strictSame(parts('a', 'a', 'a'), ['base: a'])
  t.strictSame(merge('a', '', 'a'), { value: '', parts: [] })
})

t.test('a text of more than 64 parts returns one part by both', async t => {
  const text = (first: string, second: string) =>
    Array.from({ length: 20 }, (_, n) => `${first}${n} k${n} ${second}${n} l${n}`).join(' ')
  const merged = merge(text('a', 'b'), text('x', 'b'), text('a', 'y'))
  t.equal(merged?.value, text('x', 'y'))
  t.strictSame(merged?.parts, [{ length: merged?.value.length, by: 'both' }])
})

/** Returns the parts of a merge with their text. */
function runs(...texts: [string, string, string]) {
  const { value, parts } = merge(...texts) ?? { value: '', parts: [] }
  let end = 0
  return parts.map(({ length, by }) => {
    end += length
    return { text: value.slice(end - length, end), by }
  })
}

const units = fc
  .array(fc.integer({ min: 0, max: 0xffff }))
  .map(units => String.fromCharCode(...units))
const anything = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), units)
// Few words, so that texts share, repeat and move them.
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
  (base, live, wanted) => mergeText(base, live, wanted) === mergeText(base, wanted, live)
)

always('the parts cover the text and mirror when sides swap', (base, live, wanted) => {
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

always('a part by one side occurs in the text of that side', (base, live, wanted) => {
  const all = runs(base, live, wanted)
  const stands = ({ text, by }: (typeof all)[number]) =>
    (by === 'wanted' || by === 'base' || live.includes(text)) &&
    (by === 'live' || by === 'base' || wanted.includes(text))
  return all.length === 1 || all.every(stands)
})

always(
  'an unchanged or equal side returns the other side',
  (base, live) =>
    mergeText(base, live, base) === live &&
    mergeText(base, base, live) === live &&
    mergeText(base, live, live) === live
)

always('merging the same change twice changes nothing', (base, live, wanted) => {
  const merged = mergeText(base, live, wanted)
  const again = merged === null ? null : mergeText(base, merged, wanted)
  return again === null || again === merged
})

always('a merge adds no unknown word and loses no added word', (base, live, wanted) => {
  const merged = mergeText(base, live, wanted)
  // In scripts without spaces a word depends on its neighbours.
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

/** Counts runs of letters and digits, and runs of signs: parts of a word can be merged. */
function count(text: string): Bag {
  const bag: Bag = new Map()
  for (const word of text.match(/[\p{L}\p{N}\p{M}]+|[^\s\p{L}\p{N}\p{M}]+/gu) ?? [])
    bag.set(word, (bag.get(word) ?? 0) + 1)
  return bag
}

always('a merge splits no character', (base, live, wanted) => {
  const merged = mergeText(base, live, wanted)
  const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' })
  const characters = (text: string) => Array.from(segmenter.segment(text), ({ segment }) => segment)
  const known = new Set([...characters(live), ...characters(wanted)])
  return merged === null || characters(merged).every(character => known.has(character))
})

/**
 * Generates base words that neither or one of the sides changed: replaced, deleted, or followed by an added word.
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
      const merged = mergeText(base, live, wanted)
      if (merged !== null) merges++
      return merged === null || merged === text('live', 'wanted')
    }),
    { numRuns: 5_000 }
  )
  t.ok(merges > 1_000, `${merges} of 5000 merged`)
})

t.test('a merge of distinct words equals that of diff3', async t => {
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
      const regions = diff3Merge(words(live), words(base), words(wanted))
      const merged = mergeText(base, live, wanted)
      if (merged === null || regions.some(({ conflict }) => conflict)) return true
      both++
      return merged === regions.flatMap(({ ok }) => ok ?? []).join('')
    }),
    { numRuns: 1_000 }
  )
  t.ok(both > 100, `${both} of 1000 compared`)
})
