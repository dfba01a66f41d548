import t, { type Test } from 'tap'
import { browserTabs, createLeadership } from '../../client/tabs.ts'
import type { LogLine } from '../../client/types.ts'
import { type Browser, fastClock, openBrowser } from '../support/browser.ts'
import { until } from '../support/until.ts'

function open(t: Test, browser: Browser) {
  const page = browser.openTab()
  const leadership = createLeadership({ tabs: page.tabs, name: 'test', clock: page.clock })
  t.teardown(leadership.close)
  return { ...leadership, page }
}

for (const end of ['close', 'kill', 'freeze', 'hide'] as const) {
  t.test(`another tab leads when the leader ends (${end})`, async t => {
    const browser = openBrowser(t)
    const [first, second, third] = [open(t, browser), open(t, browser), open(t, browser)]
    t.same([true, false, false], [first, second, third].map(isLeader))

    if (end === 'close') first.close()
    else first.page[end]()

    await until(() => isLeader(second) || isLeader(third))
    t.equal([second, third].filter(isLeader).length, 1)
  })
}

t.test('a hidden tab does not steal from a frozen leader', async t => {
  const clock = fastClock()
  const browser = openBrowser(t, { clock })
  const [leader, hidden] = [open(t, browser), open(t, browser)]
  hidden.page.setVisible(false)
  leader.page.freeze()

  await new Promise<void>(resolve => clock.setTimeout(resolve, 10_000))
  t.equal(isLeader(hidden), false)

  hidden.page.setVisible(true)
  await until(() => isLeader(hidden))
})

t.test('a leader that was frozen becomes a candidate', async t => {
  const browser = openBrowser(t)
  const [first, second] = [open(t, browser), open(t, browser)]
  first.page.freeze()
  await until(() => isLeader(second))
  t.equal(isLeader(first), true, 'unchanged while frozen')

  first.page.thaw()
  await until(() => !isLeader(first))
  second.close()

  await until(() => isLeader(first))
})

t.test('a tab from the back/forward cache leads again', async t => {
  const browser = openBrowser(t)
  const only = open(t, browser)
  only.page.hide()
  t.equal(isLeader(only), false)

  only.page.show()

  await until(() => isLeader(only))
})

t.test('a tab in the back/forward cache receives no messages', async t => {
  const browser = openBrowser(t)
  const [tab, other] = [open(t, browser), open(t, browser)]
  const received: number[] = []
  tab.bus.on<number>('test', body => received.push(body))
  tab.page.hide()
  other.bus.send('test', 1)
  tab.bus.send('test', 2)
  tab.page.show()
  other.bus.send('test', 3)
  await until(() => received.length > 0)
  t.same(received, [3])
})

t.test('a visible tab waits for a leader that is alive', async t => {
  const clock = fastClock()
  const browser = openBrowser(t, { clock })
  const [first, second] = [open(t, browser), open(t, browser)]

  await new Promise<void>(resolve => clock.setTimeout(resolve, 10_000))

  t.same([true, false], [first, second].map(isLeader))
})

t.test('messages reach all other tabs, as copies', async t => {
  const browser = openBrowser(t)
  const [first, second, third] = [open(t, browser), open(t, browser), open(t, browser)]
  const received: unknown[] = []
  const sent = { text: 'Chairs' }
  for (const { bus } of [first, second, third]) {
    bus.on('topic', (body, from) => received.push([from, body, body === sent]))
  }
  second.bus.on('another', () => t.fail('another topic'))

  first.bus.send('topic', sent)

  await until(() => received.length === 2)
  t.same(received[0], [first.bus.tabId, sent, false])
})

t.test('without tabs this one leads, and messages go nowhere', async t => {
  const { isLeader, bus, close } = createLeadership({
    tabs: false,
    name: 'test',
    clock: fastClock()
  })
  bus.on('topic', () => t.fail('received'))
  bus.send('topic', 1)
  t.equal(isLeader.get(), true)
  close()
})

t.test('Web Locks elect one tab, and can be stolen', async t => {
  const tabs = browserTabs(() => {})
  if (!tabs) return t.pass('this Node has no Web Locks')
  const { signal } = new AbortController()
  const closing = new AbortController()
  const events: string[] = []
  const first = tabs.lock('test', { steal: false, signal }, lost => {
    events.push('first holds')
    return new Promise(resolve => {
      lost.addEventListener('abort', () => {
        events.push('first lost')
        resolve()
      })
    })
  })
  await until(() => events.length === 1)
  const waiting = tabs.lock('test', { steal: false, signal: closing.signal }, async () => {})
  closing.abort()
  await t.rejects(waiting, { name: 'AbortError' })

  await tabs.lock('test', { steal: true, signal }, async () => {
    events.push('second holds')
  })
  await first

  t.same(events, ['first holds', 'second holds', 'first lost'])
})

t.test('a page without Web Locks logs it once', async t => {
  const lines: LogLine[] = []
  const { navigator } = globalThis
  Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true })
  t.teardown(() => Object.defineProperty(globalThis, 'navigator', { value: navigator }))

  t.equal(
    browserTabs(line => lines.push(line)),
    false
  )

  t.match(lines, [{ level: 'warn', message: /Web Locks/ }])
})

function isLeader({ isLeader }: { isLeader: { get(): boolean } }) {
  return isLeader.get()
}
