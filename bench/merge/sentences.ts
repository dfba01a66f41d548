/** Returns a generator of random numbers in [0, 1) that depend on the seed (mulberry32). */
export function seededRandom(seed: number) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export const below = (n: number, rnd: () => number) => Math.floor(rnd() * n)
export const pick = <T>(from: readonly T[], rnd: () => number) => from[below(from.length, rnd)] as T

/** Patterns of sentences in checklists, and additions to them; `gap` separates two words. */
export interface Language {
  gap: string
  /** matches words that a user might move alone, so not "the" or 在 */
  movable: RegExp
  sentences: string[]
  slots: Record<string, string[]>
  additions: string[]
}

export const english: Language = {
  gap: ' ',
  movable: /.{4}/,
  sentences: [
    'buy {amount} {thing} and {thing}',
    'Buy {adjective} {thing}, {thing} and {amount} {thing} for the {event}',
    'Call {person} about the {adjective} {matter}',
    'Call {person} {time} and ask about the {matter}',
    'Pay {price} to {person} for the {matter}',
    'Pay the {company} invoice of {price} before {day}',
    'send the {adjective} {matter} to {person} and {person}',
    'Book a table for {number} at {place} on {day} at {clock}',
    'Pick up the {thing} from {place} and bring it to {person}',
    'Please check that the {matter} is ready before the {event} on {day}',
    'Water the plants and feed the {animal} while {person} is in {city}',
    'Upgrade the server to {version} and read {url} first',
    'Order {number} {adjective} chairs from {company} for the {place} in {city}',
    'Recieve the parcel from {company} and give it to {person}',
    'meeting with {person}, {person} and {person} in room {number} {time}',
    'Ask {person} if the {animal} can stay with {person} during the {event}, then tell {person}',
    'Prepare the {event}:\n- invite {person} and {person}\n- order {amount} {thing}\n- book {place}',
    'Steps:\nwrite the {matter}\nshow it to {person}\nsend it to {company} before {clock}',
    'the {adjective} {matter} goes to {person}, the {adjective} {thing} goes to {person}, the rest to the {place}',
    'Clean the {place}',
    '{thing}',
    '{thing} and {thing}',
    'Fix the {matter} and the {matter}, then the {adjective} {matter}'
  ],
  slots: {
    amount: ['2 kg', '500 g', 'six', '12', '3 bottles of', 'a lot of', 'some', '1.5 l'],
    number: ['4', '12', '15', '125', '8', '20', '1 000'],
    price: ['100 EUR', '€49.90', '$1,250.00', '12 EUR', '85 dollars'],
    thing: 'milk bread butter eggs apples tea coffee cheese rice batteries flowers paper'.split(
      ' '
    ),
    adjective:
      'fresh old new red final large small quarterly organic broken urgent blue cheap long'.split(
        ' '
      ),
    matter: 'report contract budget invoice tax-return roof website logo heating schedule'.split(
      ' '
    ),
    person: 'Ann Bob Carol Dave Eve Zoë Müller Łukasz Priya Omar Ines Noah Yuki Femi'.split(' '),
    company: ['DHL', 'ACME', 'Northwind', 'O’Reilly', 'Globex'],
    place: ['office', 'garage', 'kitchen', 'town hall', 'bakery', 'library', 'shed'],
    city: ['Paris', 'New York', 'Kraków', 'Berlin'],
    day: ['Monday', 'Friday', '1 May', '2026-12-01', 'Sunday'],
    clock: ['10:30', 'noon', '6 pm', '18:00'],
    time: ['today', 'tomorrow', 'on Friday', 'next week', 'in the morning'],
    event: ['party', 'wedding', 'board meeting', 'holiday', 'school trip'],
    animal: ['cat', 'dog', 'two hamsters'],
    version: ['v2.4.1', '3.11', 'PostgreSQL 18'],
    url: ['https://example.org/docs?v=2', 'www.example.com']
  },
  additions: [
    'please',
    'today',
    'tomorrow morning',
    'this evening',
    'on {day}',
    'before {day}',
    'at {clock}',
    'before {clock}',
    'as soon as possible',
    'every {day}',
    'with {person}',
    'with {person} and {person}',
    'and {thing}',
    'and {amount} {thing}',
    'and some {adjective} {thing}',
    'or {thing}',
    'not',
    'really {adjective}',
    '{adjective}',
    '{adjective} and {adjective}',
    'for the {event}',
    'for {person}',
    'for {price}',
    'from {company}',
    'from the {place}',
    '({amount})',
    '({person} knows how)',
    'if {person} is there',
    'unless {person} has done it',
    'because of the {event}',
    'in the {place}',
    'near {place}',
    'in {city}',
    'together with the {matter}',
    'but only {number}',
    '– see {url} –',
    '🎉',
    '👩‍🍳 {person}',
    'by car',
    'without {thing}',
    'once {company} has paid'
  ]
}

export const chinese: Language = {
  gap: '',
  movable: /.{2}/,
  sentences: [
    '买 {adjective} {thing} 和 {thing}',
    '买 {number} 个 {thing} 、 {thing} 和 {thing}',
    '{time} 给 {person} 打电话 ， 问 {matter} 的 事情',
    '把 {adjective} {matter} 发送 给 {person} 和 {person}',
    '{time} 和 {person} 去 {place} 开会 ， 然后 写 {matter}',
    '请 {person} 在 {place} 准备 {number} 把 椅子',
    '{time} 之前 付 {number} 元 给 {person}'
  ],
  slots: {
    thing: '牛奶 面包 鸡蛋 苹果 咖啡 奶酪 电池 鲜花 大米 香蕉'.split(' '),
    adjective: '新鲜 黑色 便宜 重要 最后 漂亮 干净'.split(' '),
    number: ['3', '12', '15', '100'],
    matter: '报告 合同 预算 发票 网站'.split(' '),
    person: '小王 老师 妈妈 经理 医生'.split(' '),
    place: '办公室 图书馆 厨房 上海 学校'.split(' '),
    time: '今天 明天 星期五 下午'.split(' ')
  },
  additions: [
    '请',
    '{time}',
    '{adjective}',
    '和 {thing}',
    '在 {place}',
    '一起',
    '马上',
    '非常 {adjective}',
    '🎉'
  ]
}

/** Returns the words of a random sentence. */
export function createSentence(language: Language, rnd: () => number) {
  return fill(pick(language.sentences, rnd), language, rnd)
}

/** Returns words that a user may add to a sentence and that are not in it. */
export function createAddition(language: Language, base: Word[], rnd: () => number): Word[] {
  const words = fill(pick(language.additions, rnd), language, rnd)
  const last = words.at(-1)?.text ?? ''
  return base.some(({ text }) => text.includes(last)) ? createAddition(language, base, rnd) : words
}

/** Returns a word that may replace another and that is not in the sentence. */
export function createReplacement(language: Language, base: Word[], rnd: () => number): string {
  const [word = ''] = pick(pick(Object.values(language.slots), rnd), rnd).split(' ')
  return base.some(({ text }) => text.includes(word))
    ? createReplacement(language, base, rnd)
    : word
}

export interface Word {
  /** the blank or line break before the word */
  before: string
  text: string
}

function fill(pattern: string, language: Language, rnd: () => number): Word[] {
  // Uses no word twice in one sentence, because users rarely do.
  const used = new Set<string>()
  const text = pattern.replace(/\{(\w+)\}/g, (_, slot) => {
    const word = pick(
      (language.slots[slot] ?? []).filter(w => !used.has(w)),
      rnd
    )
    used.add(word)
    return word
  })
  return [...text.matchAll(/([ \n]?)([^ \n]+)/g)].map(([, before, word]) => ({
    before: before === '\n' ? '\n' : language.gap,
    text: word as string
  }))
}
