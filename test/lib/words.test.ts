import fc from 'fast-check'
import t from 'tap'
import { isWord, tokenize } from '../../lib/words.ts'

const only = (text: string) => tokenize(text).filter(isWord).join('|')

t.test('characters without a blank between them are one word', async t => {
  t.strictSame(tokenize('Buy  2 kg\tflour'), ['Buy', '  ', '2', ' ', 'kg', '\t', 'flour'])
  for (const word of [
    'https://example.org/a?b=1,2#c',
    '$1,250.00',
    '€49.90',
    'v2.4.1-rc.1+5',
    '2026-12-01T18:00',
    'tax-return',
    'O’Reilly',
    '1 000 000',
    '1\u00a0000,50',
    '+4930 123 456'
  ]) {
    t.strictSame(tokenize(word), [word])
  }
  t.equal(only('room 12 3000 chairs, 1 2 3'), 'room|12|3000|chairs,|1|2|3')
})

t.test('a Markdown checkbox is one word', async t => {
  t.equal(only('- [ ] Buy milk'), '- [ ]|Buy|milk')
  t.equal(only('* [x] done\n  + [X] too'), '* [x]|done|+ [X]|too')
  t.equal(only('- [ ]x - [link] - [y]'), '-|[|]x|-|[link]|-|[y]')
})

t.test('every line break is one token, also CR LF', async t => {
  t.strictSame(tokenize('a\r\n\n b\rc\u2028d'), [
    'a',
    '\r\n',
    '\n',
    ' ',
    'b',
    '\r',
    'c',
    '\u2028',
    'd'
  ])
})

t.test('text is segmented into words only in scripts without spaces', async t => {
  t.equal(only('买牛奶和面包'), '买|牛奶|和|面包')
  t.equal(only('牛乳とパンを買う'), '牛乳|と|パン|を|買う')
  t.equal(only('ซื้อนมและขนมปัง'), 'ซื้อ|นม|และ|ขนมปัง')
  t.equal(only('看https://a.com/b?c=1吧'), '看|https://a.com/b?c=1|吧')
  t.equal(only('付150.50元，买v1.2.3'), '付|150.50|元|，|买|v1.2.3')
  t.equal(only('우유와 빵을 사기'), '우유와|빵을|사기')
})

t.test('emoji sequences, flags and combining marks are not split', async t => {
  for (const sign of [
    '👩‍👩‍👧‍👦',
    '👍🏽',
    '🇩🇪',
    '🇩🇪🇫🇷',
    '1️⃣',
    'e\u0301',
    'a\u0323\u0302',
    '❤️‍🔥',
    'z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢'
  ]) {
    t.strictSame(tokenize(sign), [sign])
    t.ok(tokenize(`买${sign}吧`).includes(sign), sign)
  }
  t.strictSame(
    tokenize('a  \u0301b'),
    ['a', ' ', ' \u0301b'],
    'a blank with a combining mark is a word'
  )
})

t.test('the tokens of a text joined together equal the text', async t => {
  const units = fc
    .array(fc.integer({ min: 0, max: 0xffff }))
    .map(units => String.fromCharCode(...units))
  const anything = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), units)
  fc.assert(fc.property(anything, text => tokenize(text).join('') === text))
  t.pass()
})
