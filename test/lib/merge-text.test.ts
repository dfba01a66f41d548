import { readFileSync } from 'node:fs'
import t from 'tap'
import { mergeText as merge } from '../../lib/merge-text.ts'
import { mergedParts, mergedText } from '../support/merge-text.ts'

/** `merged` is null when the merge is a conflict. */
type Case = [base: string, live: string, wanted: string, merged: string | null]

function check(name: string, cases: Case[]) {
  t.test(name, async t => {
    for (const [base, live, wanted, merged] of cases) {
      t.equal(mergedText(base, live, wanted), merged, `${live} + ${wanted}`)
      t.equal(mergedText(base, wanted, live), merged, 'sides swapped')
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
  // "the" and "The" count as one word, so the first phrase of a moved pair is not a replacement.
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
  // The place of a change between repeated parts is ambiguous.
  ['Say na-na-na-hey now', 'Say na-na-hey now', 'Say na-na-na-hi now', null],
  ['Say a\u200db-c-d', 'Say x\u200db-c-d', 'Say a\u200db-c-e', null]
])

check("a side that contains the other side's change wins", [
  ['Order blue chairs', 'Order green chairs', 'Order green tables', 'Order green tables'],
  ['a b c d', 'x b c d', 'x y z d', 'x y z d'],
  // One word that both sides added within replaced words counts as a coincidence, not as the same change.
  [
    'buy 3 bottles of butter and bread',
    'buy 3 bottles of paper and bread',
    'buy 3 2 kg paper for Müller',
    null
  ]
])

check('a repeated phrase conflicts when a side changes one copy', [
  [
    'order 3 bottles of apples',
    'order 127 bottles of and 3 bottles of butter apples',
    'order 3 fresh bottles of apples',
    null
  ]
])

check('the same change on both sides is applied once', [
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

check('additions that share only a short word merge', [
  [
    'Send report to Ann and Bob',
    'Send the report to Ann and Bob',
    'Send report to Ann and Bob before the meeting',
    'Send the report to Ann and Bob before the meeting'
  ]
])

check('repeated words conflict when the changed copy is ambiguous', [
  ['very very very good', 'very very good', 'very very very very good', null],
  ['ha ha ha', 'ha ha ha ha', 'ha ho ha', null]
])

check('two swapped phrases count as one change', [
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

t.test('texts beyond the size limits conflict, unless one side is unchanged', async t => {
  const long = 'ab '.repeat(1_400)
  t.equal(mergedText(long, `${long}c`, `d ${long}`), null)
  t.equal(mergedText(long, long, `d ${long}`), `d ${long}`)
  const numbers = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => `n${from + i}`).join(' ')
  t.equal(mergedText(numbers(0, 200), numbers(200, 400), `${numbers(0, 200)} end`), null)
  t.equal(
    mergedText(numbers(0, 100), `first ${numbers(1, 100)}`, numbers(0, 400)),
    `first ${numbers(1, 400)}`,
    'one long addition merges'
  )
})

t.test('more than 64 changed places on one side are a conflict', async t => {
  const text = (word: (n: number) => string) =>
    Array.from({ length: 70 }, (_, n) => `${word(n)} k${n}`).join(' ')
  t.equal(
    mergedText(
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
    t.equal(mergedText(base, live, wanted) ?? 'conflict', result, `${live} + ${wanted}`)
    t.equal(mergedText(base, wanted, live) ?? 'conflict', result, 'sides swapped')
  }
})

t.test('the parts of a merge name the side that wrote each word', async t => {
  const parts = (...texts: [string, string, string]) =>
    mergedParts(...texts).map(({ text, by }) => `${by}: ${text}`)
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

t.test('a merge of more than 64 parts returns a single part', async t => {
  const text = (first: string, second: string) =>
    Array.from({ length: 20 }, (_, n) => `${first}${n} k${n} ${second}${n} l${n}`).join(' ')
  const merged = merge(text('a', 'b'), text('x', 'b'), text('a', 'y'))
  t.equal(merged?.value, text('x', 'y'))
  t.strictSame(merged?.parts, [{ length: merged?.value.length, by: 'both' }])
})
