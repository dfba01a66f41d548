import t from 'tap'
import type { Change, Conflict, Item, Operation } from '../../client/index.ts'
import { questionOf, sidesOf } from '../../web/list/conflict-sides.ts'
import { formatDay, isPast } from '../../web/list/days.ts'
import { toEntries } from '../../web/list/history-entries.ts'
import { possessive } from '../../web/list/names.ts'
import { splitLines } from '../../web/list/paste.ts'
import { placeAfterDrop, placeAfterMove } from '../../web/list/places.ts'
import { describeUnsent, reasonOf, reportAbsence } from '../../web/list/sentences.ts'
import { diffWords, markAdded, moveCaret, type Piece } from '../../web/list/word-diff.ts'

const signs = { same: '', removed: '-', added: '+' }
const toText = (pieces: Piece[]) =>
  pieces.map(({ kind, text }) => (kind === 'same' ? text : `[${signs[kind]}${text}]`)).join('')

t.test('a word diff marks removed and added words', async t => {
  const diff = (before: string, after: string) => toText(diffWords(before, after))
  t.equal(diff('Book the band', 'Book the jazz band'), 'Book the [+jazz ]band')
  t.equal(diff('Book the band', 'Book a DJ'), 'Book [-the band][+a DJ]')
  t.equal(diff('Oat milk', 'Oat milk'), 'Oat milk')
  t.equal(diff('', 'Oat milk'), '[+Oat milk]')
  t.equal(diff('Oat milk', ''), '[-Oat milk]')
  t.equal(toText(markAdded('Book the band', 'Book a DJ')), 'Book [+a DJ]')
  const many = (word: string) => Array.from({ length: 300 }, (_, n) => `${word}${n}`).join(' ')
  const pieces = diffWords(`a ${many('x')} z`, `a ${many('y')} z`)
  t.strictSame(
    pieces.map(({ kind }) => kind),
    ['same', 'removed', 'added', 'same']
  )
  t.equal(
    pieces.flatMap(({ kind, text }) => (kind === 'removed' ? [] : text)).join(''),
    `a ${many('y')} z`
  )
})

t.test('a caret keeps its place while words of others are merged', async t => {
  const move = (before: string, after: string) => {
    const caret = before.indexOf('|')
    const moved = moveCaret(before.replace('|', ''), after, caret)
    return `${after.slice(0, moved)}|${after.slice(moved)}`
  }
  t.equal(move('Rye brea|', 'Fresh rye brea'), 'Fresh rye brea|')
  t.equal(move('Order ch|airs', 'Order 12 chairs'), 'Order 12 ch|airs')
  t.equal(move('Order chairs|', 'Order chairs by Friday'), 'Order chairs| by Friday')
  t.equal(move('|Order chairs', 'Order 12 chairs'), '|Order 12 chairs')
  t.equal(move('Order 12 chairs| today', 'Order chairs today'), 'Order chairs| today')
  t.equal(move('Order white| chairs', 'Order chairs'), 'Order |chairs')
  t.equal(move('one| two', 'two'), '|two')
  t.equal(move('all gone|', ''), '|')
  t.equal(move('Buy mil| now', 'Buy mil now'), 'Buy mil| now')
})

t.test('a pasted text becomes lines without bullets', async t => {
  const text = '- [ ] Milk\r\n* [x] Bread\n\n  2) Rye\n• Oats\n☐ Tea\n-5 degrees\n3.5 kg\tflour\n'
  t.strictSame(splitLines(text), [
    ...['Milk', 'Bread', 'Rye', 'Oats', 'Tea', '-5 degrees', '3.5 kg flour']
  ])
  t.strictSame(
    splitLines('x'.repeat(4_500)).map(line => line.length),
    [2000, 2000, 500]
  )
  t.strictSame(splitLines(' \n\t\n'), [])
  const many = Array.from({ length: 200 }, (_, n) => `Line ${n}`)
  t.strictSame(splitLines(many.join('\n')), many)
})

t.test('a move names the line above', async t => {
  const ids = ['a', 'b', 'c', 'd']
  t.equal(placeAfterMove(ids, 'c', 'up'), 'a')
  t.equal(placeAfterMove(ids, 'b', 'up'), null)
  t.equal(placeAfterMove(ids, 'a', 'up'), undefined)
  t.equal(placeAfterMove(ids, 'c', 'top'), null)
  t.equal(placeAfterMove(ids, 'c', 'down'), 'd')
  t.equal(placeAfterMove(ids, 'd', 'down'), undefined)
  t.equal(placeAfterMove(ids, 'x', 'up'), undefined)
  t.equal(placeAfterDrop(ids, 'd', 'a', 'above'), null)
  t.equal(placeAfterDrop(ids, 'd', 'b', 'above'), 'a')
  t.equal(placeAfterDrop(ids, 'a', 'c', 'below'), 'c')
  t.equal(placeAfterDrop(ids, 'b', 'a', 'below'), undefined)
  t.equal(placeAfterDrop(ids, 'b', 'c', 'above'), undefined)
  t.equal(placeAfterDrop(ids, 'b', 'b', 'above'), undefined)
})

t.test('days have the words of a reader', async t => {
  const now = new Date(2026, 10, 25, 12)
  t.strictSame(
    ['2026-11-24', '2026-11-25', '2026-11-26', '2026-11-27', '2027-01-01'].map(day =>
      formatDay(day, now)
    ),
    ['Yesterday', 'Today', 'Tomorrow', 'Fri 27 Nov', 'Fri 1 Jan 2027']
  )
  t.equal(isPast('2026-11-24', now), true)
  t.equal(isPast('2026-11-25', now), false)
})

const nameOf = (id: string | null) =>
  id === null ? 'a database change' : id === 'me' ? 'you' : id === 'bob' ? 'Bob' : 'Ann'

const conflict: Conflict = {
  ...{ id: 'k', itemId: 'i', field: 'text', base: 'Book the band', ours: 'Book a DJ' },
  ...{ theirs: 'Book the jazz band', oursBy: 'bob', theirsBy: 'me', openedRev: 7 }
}
const item = (text: string): Item => ({ id: 'i', text, done: false, dueOn: null, position: 1 })
const at = (minute: number) => `2026-11-25T10:${String(minute).padStart(2, '0')}:00.000Z`

function change(rev: number, fields: object): Change {
  const basic = { rev, itemId: 'i', actorId: 'bob', opId: null, source: 'ws', at: at(rev) }
  return { ...basic, ...fields } as Change
}

t.test('a conflict names people, and shows the own value first', async t => {
  const changes = [
    change(6, {
      kind: 'item.updated',
      before: item('Book the band'),
      after: item('Book a DJ')
    }),
    change(7, { kind: 'conflict.opened', actorId: 'me', after: conflict })
  ]
  const sides = sidesOf(conflict, 'me', nameOf, changes)
  t.match(sides, [
    { who: 'You', label: 'Use mine', value: 'Book the jazz band', choice: 'theirs', at: at(7) },
    { who: 'Bob', label: 'Keep Bob’s', value: 'Book a DJ', choice: 'ours', at: at(6) }
  ])
  t.strictSame(
    sidesOf(conflict, 'ann', nameOf).map(({ label, at }) => [label, at]),
    [
      ['Keep Bob’s', null],
      ['Keep you’s', null]
    ]
  )
  const bySql = sidesOf({ ...conflict, oursBy: null }, 'me', nameOf)
  t.strictSame(
    bySql.map(({ label }) => label),
    ['Use mine', 'Keep the database change']
  )
  const own = sidesOf({ ...conflict, oursBy: 'me' }, 'me', nameOf)
  t.strictSame(
    own.map(({ who, label }) => [who, label]),
    [
      ['You, in the list', 'Keep the list’s'],
      ['You, kept beside it', 'Use the other']
    ]
  )
})

t.test('a conflict has a sentence with both names', async t => {
  t.equal(questionOf(conflict, 'me', nameOf), 'You and Bob changed this line at the same time.')
  const deleted: Conflict = {
    ...conflict,
    ...{ field: 'alive', base: 'Candles', ours: '12 candles', theirs: null }
  }
  t.equal(
    questionOf({ ...deleted, oursBy: 'me', theirsBy: 'bob' }, 'me', nameOf),
    'Bob deleted this line. You changed it to “12 candles” meanwhile.'
  )
  t.equal(
    questionOf({ ...deleted, ours: 'Candles' }, 'me', nameOf),
    'You deleted this line. Bob changed it meanwhile.'
  )
})

t.test('an absence is reported in parts', async t => {
  const notice = { sent: 40, merged: 4, conflicts: 2, dropped: 1, rejected: 0, changesOfOthers: 9 }
  t.strictSame(
    reportAbsence(notice).map(({ text }) => text),
    [
      '40 changes sent',
      '9 changes by others',
      '4 combined with changes of others',
      '2 need your decision',
      '1 line was deleted'
    ]
  )
})

t.test('unsent changes become a text', async t => {
  const ops = [
    { opId: '1', kind: 'item.add', after: null, items: [{ itemId: 'x', text: 'Milk' }] },
    { opId: '2', kind: 'item.set', itemId: 'i', set: { text: { from: 'a', to: 'b' } } },
    { opId: '3', kind: 'item.set', itemId: 'i', set: { done: { from: false, to: true } } }
  ] as Operation[]
  t.equal(describeUnsent(ops, undefined), 'Add: Milk\nChange “a” to: b\nTick “a line”')
  t.equal(
    reasonOf({ opId: '2', outcome: 'dropped' }, ops[1] as Operation),
    'The line was deleted meanwhile.'
  )
})

t.test('a history joins the keystrokes of one edit', async t => {
  const update = (rev: number, before: string, after: string, more: object = {}) =>
    change(rev, { kind: 'item.updated', before: item(before), after: item(after), ...more })
  const entries = toEntries(
    [
      change(1, { kind: 'item.added', after: item('Band'), opId: 'o', actorId: 'me' }),
      update(2, 'Band', 'Band o'),
      update(3, 'Band o', 'Band or'),
      update(4, 'Band or', 'Band or DJ'),
      update(5, 'Band or DJ', 'DJ', { actorId: null, source: 'sql' }),
      change(6, { kind: 'item.deleted', before: item('DJ') })
    ],
    nameOf
  )
  t.strictSame(
    entries.map(({ rev, who, what, pieces }) => [rev, who, what, toText(pieces)]),
    [
      [6, 'Bob', 'deleted', '[-DJ]'],
      [5, 'A database change', 'changed', '[-Band or ]DJ'],
      [4, 'Bob', 'changed', 'Band[+ or DJ]'],
      [1, 'You', 'added', '[+Band]']
    ]
  )
  const pasted = toEntries(
    ['a', 'b', 'c', 'd'].map((text, n) =>
      change(n + 1, { kind: 'item.added', after: item(text), opId: 'o', itemId: text })
    ),
    nameOf
  )
  t.match(pasted, [{ what: 'added 4 lines', pieces: [{ text: 'a · b · c …' }] }])
})

t.test('a name has a possessive', async t => {
  t.equal(possessive('Bob'), 'Bob’s')
  t.equal(possessive('Ines'), 'Ines’')
})
