import t from 'tap'
import { cookieValues } from '../../lib/cookies.ts'

t.test('cookieValues returns every value of a repeated cookie unchanged', async t => {
  const cases: [string | undefined, string[]][] = [
    [undefined, []],
    ['', []],
    ['refresh', []],
    ['refresh=a', ['a']],
    ['a=1; refresh=b; c=2', ['b']],
    ['a=1;refresh=b;c=2', ['b']],
    ['refresh=a; refresh=b', ['a', 'b']],
    ['refresh=', ['']],
    ['refresh="a"; refresh=%61; refresh=a=b', ['"a"', '%61', 'a=b']],
    ['Refresh=a; xrefresh=b; refresh2=c; a=refresh=d', []],
    [';;; refresh= a ;', ['a']]
  ]
  for (const [header, values] of cases) t.strictSame(cookieValues(header, 'refresh'), values)
})
