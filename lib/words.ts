/**
 * Splits a text into words, runs of blanks, and line breaks, in linear time. A word is a run of non-blanks (a URL, a
 * price, an emoji sequence) or the "- [ ]" of a Markdown checklist. Scripts without spaces, such as Chinese, are split
 * at Unicode's word boundaries (UAX #29, https://unicode.org/reports/tr29).
 */
export function tokenize(text: string): string[] {
  return (text.match(TOKEN) ?? []).flatMap(token =>
    SPACELESS.test(token) ? segment(token) : token
  )
}

export const isWord = (token: string) => /\S/.test(token)

const CHECKBOX = String.raw`[-*+] \[[ xX]\](?!\S)`
// A blank is part of a word between groups of digits, as in "1 000 000", and before a combining mark.
const INNER_BLANK = String.raw`(?<=\d)[ \u00a0\u2007\u202f](?=\d{3}(?!\d))|[^\S\n\r](?=\p{M})`
const TOKEN = new RegExp(
  String.raw`${CHECKBOX}|\r\n|[\n\r\u2028\u2029]|(?:\S|${INNER_BLANK})+|[^\S\n\r\u2028\u2029]+(?!\p{M})`,
  'gu'
)

const SPACELESS =
  /[\p{scx=Hani}\p{scx=Hira}\p{scx=Kana}\p{scx=Bopo}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}\p{scx=Tibt}\uff01-\uff65]/u

let segmenter: Intl.Segmenter | undefined

// Adjoining segments of scripts with spaces stay one word.
function segment(run: string): string[] {
  const words: string[] = []
  let isSpaceless = true
  // The locale is fixed, so that every machine finds the same words. Made at the first use, because it takes 15 ms.
  segmenter ??= new Intl.Segmenter('en', { granularity: 'word' })
  for (const { segment } of segmenter.segment(run)) {
    const wasSpaceless = isSpaceless
    isSpaceless = SPACELESS.test(segment)
    if (wasSpaceless || isSpaceless) words.push(segment)
    else words[words.length - 1] += segment
  }
  return words
}
