/** Valid names and titles that break code which does not escape its input. */
export const hostileNames = [
  "Robert'); drop table projects; --",
  '<script>alert(1)</script>',
  '{{7*7}} #{7*7} %s %00 \\u0000 \\',
  'null',
  '__proto__',
  '../../etc/passwd',
  'ﷺ 𝒳 👩‍👩‍👧‍👦 עברית \u202e',
  '😀'.repeat(200)
]

/** Values that are refused as a name or title. */
export const invalidNames = [
  undefined,
  null,
  '',
  ' ',
  '\t\n\u3000 ',
  'a\nb',
  'a\u0000b',
  'a\u007fb',
  'a\u0085b',
  '\ud800',
  'x'.repeat(201),
  '😀'.repeat(201),
  7,
  true,
  ['a'],
  {}
]
