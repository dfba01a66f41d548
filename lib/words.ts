/**
 * The tokens of a text: words, blanks, line breaks. Joined they are the text again, unit for unit,
 * whatever the text holds. A word is a run of non-blanks (a URL, a price, a version number, an
 * emoji sequence) or the "- [ ]" of a Markdown checklist; in scripts written without spaces it is
 * what Unicode's word rules and ICU's dictionaries say (UAX #29,
 * https://unicode.org/reports/tr29). Linear in the text.
 */
export function words(text: string): string[] {
  return (text.match(TOKEN) ?? []).flatMap(token => (SPACELESS.test(token) ? split(token) : token))
}

/** Whether a token of `words` is a word, and not blank or break. */
export const isWord = (token: string) => /\S/.test(token)

const CHECKBOX = String.raw`[-*+] \[[ xX]\](?!\S)`
// A blank in "1 000 000" separates no words, nor does one that carries a combining mark.
const GLUE = String.raw`(?<=\d)[ \u00a0\u2007\u202f](?=\d{3}(?!\d))|[^\S\n\r](?=\p{M})`
const TOKEN = new RegExp(
  String.raw`${CHECKBOX}|\r\n|[\n\r\u2028\u2029]|(?:\S|${GLUE})+|[^\S\n\r\u2028\u2029]+(?!\p{M})`,
  'gu'
)

const SPACELESS =
  /[\p{scx=Hani}\p{scx=Hira}\p{scx=Kana}\p{scx=Bopo}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}\p{scx=Tibt}\uff01-\uff65]/u

// A fixed locale: every machine must find the same words.
const segmenter = new Intl.Segmenter('en', { granularity: 'word' })

function split(run: string): string[] {
  const found: string[] = []
  let spaceless = true
  for (const { segment } of segmenter.segment(run)) {
    const before = spaceless
    spaceless = SPACELESS.test(segment)
    if (before || spaceless) found.push(segment)
    else found[found.length - 1] += segment
  }
  return found
}
