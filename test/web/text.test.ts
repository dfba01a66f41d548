import t from 'tap'
import type { Connection } from '../../client/index.ts'
import {
  describeConnection,
  deviceOf,
  initials,
  isolate,
  listNames,
  plural,
  relativeTime
} from '../../web/text.ts'

t.test('the state of the connection is described as docs/client.md says', async t => {
  const live: Connection = {
    state: 'live',
    unsent: 0,
    held: 0,
    toDecide: 0,
    retryAt: null,
    isStored: true
  }
  const cases: [Partial<Connection>, string, string][] = [
    [{}, 'Saved', 'All changes are saved.'],
    [{ unsent: 3 }, 'Sending 3', 'Sending 3 changes…'],
    [{ unsent: 1 }, 'Sending 1', 'Sending 1 change…'],
    [{ unsent: 3, held: 1 }, 'Sending 2', 'Sending 2 changes…'],
    [
      { unsent: 3, held: 3 },
      '3 not sent',
      '3 changes were not sent: you may not change their lists any more.'
    ],
    [{ state: 'connecting' }, 'Connecting', 'Connecting…'],
    [{ state: 'catching-up', unsent: 2 }, 'Catching up', 'Loading changes…'],
    [{ state: 'offline' }, 'Offline', 'Offline.'],
    [
      { state: 'offline', unsent: 3, retryAt: 8000 },
      'Offline, 3 waiting',
      'Offline. 3 changes wait on this device. Next try in 8 s.'
    ],
    [
      { state: 'offline', unsent: 1, retryAt: -5 },
      'Offline, 1 waiting',
      'Offline. 1 change waits on this device.'
    ],
    [{ state: 'needs-sign-in', unsent: 3 }, 'Sign in to send 3', 'Sign in to send 3 changes.'],
    [{ state: 'needs-sign-in' }, 'Signed out', 'You are signed out.'],
    [{ isStored: false }, 'Saved', 'All changes are saved.'],
    [
      { isStored: false, unsent: 3, state: 'offline' },
      'Not saved on this device',
      'This browser cannot store changes. Keep this page open until 3 changes are sent.'
    ]
  ]
  for (const [change, short, sentence] of cases)
    t.match(describeConnection({ ...live, ...change }, 0), { short, sentence }, short)
})

t.test('numbers and names become parts of sentences', async t => {
  t.equal(plural(1, '1 change', '# changes'), '1 change')
  t.equal(plural(0, '1 change', '# changes'), '0 changes')
  t.strictSame(
    [[], ['Ann'], ['Ann', 'Bob'], ['Ann', 'Bob', 'Cara'], ['Ann', 'Bob', 'Cara', 'Dora']].map(
      names => listNames(names)
    ),
    ['', 'Ann', 'Ann and Bob', 'Ann, Bob and Cara', 'Ann, Bob and 2 others']
  )
  t.strictSame(['Ann', ' ann  van  baker ', '😀 x', ''].map(initials), ['A', 'AB', '😀X', ''])
})

t.test('a name that changes the direction of text changes no sentence', async t => {
  t.equal(isolate('Ann'), 'Ann')
  for (const name of ['אנה', '\u202eann', 'آن']) t.equal(isolate(name), `\u2068${name}\u2069`)
})

t.test('times are relative to now', async t => {
  const now = Date.parse('2026-11-28T12:00:00Z')
  const ago = (seconds: number) => relativeTime(now - seconds * 1000, now)
  t.strictSame(
    [0, 44, 60, 3600, 86_400, 3 * 86_400, 20 * 86_400, 60 * 86_400, 800 * 86_400].map(ago),
    [
      'just now',
      'just now',
      '1 minute ago',
      '1 hour ago',
      'yesterday',
      '3 days ago',
      '3 weeks ago',
      '2 months ago',
      '2 years ago'
    ]
  )
})

t.test('a device is named by its browser and system', async t => {
  const chrome = 'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0'
  t.strictSame(
    [
      `Mozilla/5.0 (X11; Linux x86_64) ${chrome} Safari/537.36`,
      `Mozilla/5.0 (Windows NT 10.0) ${chrome} Safari/537.36 Edg/140.0.0.0`,
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1',
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Firefox/140.0',
      'curl/8.14.1',
      ''
    ].map(deviceOf),
    [
      'Chrome on Linux',
      'Edge on Windows',
      'Safari on iPhone',
      'Firefox on macOS',
      'curl',
      'Unknown device'
    ]
  )
})
