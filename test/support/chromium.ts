import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  type ConsoleMessage,
  chromium,
  type LaunchOptions,
  type Page
} from 'playwright-core'
import type { Test } from 'tap'
import type { Checklist, ChecklistData, Client, LogLine } from '../../client/index.ts'
import type { Readable } from '../../client/readable.ts'
import type { Entry } from '../../client/storage.ts'
import { build, listen } from './app.ts'
import { readMetric } from './metrics.ts'
import { tcpProxy } from './tcp-proxy.ts'
import { until } from './until.ts'
import { PASSWORD, type Session, type User } from './users.ts'

declare global {
  /** The object of the page's script that the functions use which tests run in the page. */
  var concord: {
    client: Client
    /** the lines of the client's log */
    lines: (Pick<LogLine, 'level' | 'message'> & { error: string })[]
    /** `persisted` of each event `pageshow` */
    pageShows: boolean[]
    /** the events of items and the resets that the client has delivered */
    events: { type: string; rev?: number }[]
    /** Opens a checklist until the page ends. `revs` are the revisions of its notices `change`. */
    open(id: string): Checklist & { revs: number[] }
    /** Resolves with a value as soon as it fulfils `condition`. */
    when<T>(readable: Readable<T>, condition: (value: T) => unknown, ms?: number): Promise<T>
    /** Returns all rows in IndexedDB, by database and store. */
    databases(): Promise<Record<string, Record<string, unknown[]>>>
    /** Returns the rows of one store of a user. */
    stored(store: 'entries', userId: string): Promise<Entry[]>
    stored(store: 'checklists', userId: string): Promise<{ checklist: ChecklistData }[]>
  }
}

export type Service = Awaited<ReturnType<typeof startService>>
export type Device = ReturnType<typeof watchDevice>

/** The policy of the pages of the service. The headers of all responses contain another one, which applies as well. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'"
].join('; ')

const html = `<!doctype html>
<html lang="en">
<link rel="icon" href="data:,">
<title>Concord</title>
<script type="module" src="/test/page.js"></script>
</html>`

const files: Record<string, [type: string, content: string]> = {
  '/test/page': ['text/html', html],
  '/test/page.js': [
    'text/javascript',
    readFileSync(join(import.meta.dirname, 'chromium-page.js'), 'utf8')
  ],
  '/test/away': ['text/html', '<!doctype html><title>Away</title>']
}

const executablePath = findProgram(
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'
)

/** Chromium without the parts of a window, which cost most of the time in which a device is opened. */
const shellPath = findProgram('/usr/bin/chromium-headless-shell') ?? executablePath

function findProgram(...paths: string[]): string | undefined {
  return [process.env.CHROMIUM, ...paths].find(path => path && existsSync(path))
}

/** The sentence with which tests are skipped where there is no Chromium. In CI they fail instead. */
export const skip =
  !executablePath &&
  process.env.CI_RUN === undefined &&
  'needs Chromium: apt-get install chromium, or set CHROMIUM to its path'

/** Starts a service that also serves the page of the tests. */
export async function startService(t: Pick<Test, 'teardown'>, env: NodeJS.ProcessEnv = {}) {
  const app = await build(t, { WEB: 'on', ...env }, servePage)
  return { app, url: await listen(app), connections }

  /** Returns the numbers of open streams and sockets. */
  async function connections() {
    return [await readMetric(app, 'concord_streams'), await readMetric(app, 'concord_sockets')]
  }
}

function servePage(app: FastifyInstance) {
  for (const [path, [type, content]] of Object.entries(files)) {
    app.get(path, { schema: { hide: true } as object }, (_request, reply) =>
      reply
        .header('content-security-policy', [reply.getHeader('content-security-policy'), policy])
        .type(`${type}; charset=utf-8`)
        .send(content)
    )
  }
}

/** Starts Chromium, as a headless shell where that is installed. `args` are switches of its command line. */
export function launch(t: Pick<Test, 'teardown'>, args: string[] = []): Promise<Browser> {
  return start(t, { executablePath: shellPath, args })
}

/** Starts Chromium with a back/forward cache, which Playwright turns off and the headless shell does not have. */
export function launchWithCache(t: Pick<Test, 'teardown'>): Promise<Browser> {
  return start(t, withCache)
}

const withCache = { executablePath, ignoreDefaultArgs: ['--disable-back-forward-cache'] }

async function start(t: Pick<Test, 'teardown'>, options: LaunchOptions): Promise<Browser> {
  if (!executablePath) throw new Error('Chromium is not installed')
  const browser = await chromium.launch(options)
  t.teardown(() => browser.close())
  return browser
}

/** Starts Chromium with a profile on disk. */
export function launchProfile(folder: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(folder, { executablePath: shellPath })
}

export type Setup = Awaited<ReturnType<typeof setUp>>

/** Runs a test with pages, and fails when one of them throws, logs an error or violates its policy. */
export function testPages(
  t: Test,
  title: string,
  service: Service,
  run: (t: Test, setup: Setup) => Promise<void>
) {
  t.test(title, async t => {
    const setup = await setUp(t, service)
    try {
      await run(t, setup)
    } catch (error) {
      for (const lines of await setup.logs()) t.comment(lines)
      throw error
    } finally {
      t.strictSame(setup.problems, [], 'no page has logged an error')
    }
  })
}

/**
 * Returns a TCP proxy in front of a service, and functions that open devices behind it. `problems` contains everything
 * that a page must not log.
 */
async function setUp(t: Pick<Test, 'teardown'>, service: Service) {
  const proxy = await tcpProxy(t, service.url)
  const problems: string[] = []
  const contexts: BrowserContext[] = []
  const expected: RegExp[] = []
  t.teardown(() => proxy.close())

  return {
    ...service,
    url: proxy.url,
    problems,
    /** Allows lines of the console until the end of the test. */
    expect(line: RegExp) {
      expected.push(line)
    },
    /** Closes all connections and refuses new ones. From now on the browser may log network errors. */
    disconnect() {
      expected.push(networkError)
      proxy.close()
    },
    /** Accepts connections again. The pages receive the event of the browser that there is a network. */
    async reconnect() {
      await proxy.reopen()
      for (const page of contexts.flatMap(context => context.pages()))
        await page.evaluate(() => dispatchEvent(new Event('online'))).catch(() => {})
    },
    /** Returns what the client has logged in each tab that responds. */
    async logs() {
      const pages = contexts.flatMap(context => context.pages())
      const read = (page: Page) =>
        Promise.race([
          page.evaluate(() =>
            'concord' in globalThis
              ? JSON.stringify([concord.client.connection.get(), concord.lines])
              : document.body.innerText
          ),
          sleep(1000, 'no response')
        ])
      return Promise.all(pages.map(page => read(page).catch(String)))
    },
    /** Opens a device with a profile in memory, which ends with the test. `url` replaces the address of the proxy. */
    async openDevice(browser: Browser, url = proxy.url, options: BrowserContextOptions = {}) {
      const context = await browser.newContext(options)
      t.teardown(() => context.close().catch(() => {}))
      return watch(context, url)
    },
    watch
  }

  /** Returns functions for a profile of Chromium, which the caller closes. */
  function watch(context: BrowserContext, url = proxy.url) {
    contexts.push(context)
    return watchDevice(context, url, service.url, text => {
      if (!expected.some(line => line.test(text))) problems.push(text)
    })
  }
}

function watchDevice(
  context: BrowserContext,
  url: string,
  serviceUrl: string,
  onProblem: (text: string) => void
) {
  return { context, openTab, openPage, load, serveOffline }

  /** Opens a tab with the page of the tests, whose script has run when this resolves. */
  async function openTab() {
    const page = await watchTab()
    await load(page)
    return page
  }

  /** Opens a tab with the page that the service serves at `/`. */
  async function openPage(hash = '') {
    const page = await watchTab()
    await page.goto(`${url}/${hash}`)
    return page
  }

  async function watchTab() {
    const page = await context.newPage()
    page.on('pageerror', error => onProblem(`uncaught: ${error.stack}`))
    page.on('console', message => {
      if (message.type() === 'error' && !isIgnoredHeader(message.text())) onProblem(lineOf(message))
    })
    return page
  }

  async function load(page: Page) {
    await page.goto(`${url}/test/page`)
    await page.waitForFunction(() => 'concord' in globalThis)
  }

  /** Serves the page and its scripts without the network, as a service worker does. */
  async function serveOffline() {
    // Chromium does not know that such a page comes from this machine, so it would refuse sockets to it.
    await context.grantPermissions(['local-network-access'])
    const paths = ['/test/page', '/test/page.js', '/client.js']
    const responses = await Promise.all(
      paths.map(async path => {
        const response = await fetch(serviceUrl + path)
        const headers = Object.fromEntries(response.headers)
        return { path, headers, body: await response.text() }
      })
    )
    for (const { path, headers, body } of responses)
      await context.route(url + path, route => route.fulfill({ headers, body }))
  }
}

function lineOf(message: ConsoleMessage): string {
  return `${message.text()} (${message.location().url})`
}

const networkError =
  /^(Failed to load resource: net::ERR_|WebSocket connection to '[^']+' failed: )/

/** The line of a tab that finds out with a refresh that another tab has signed out. */
export const refusedRefresh = /401 \(Unauthorized\) \(\S+\/auth\/refresh\)$/

/** Chromium logs that it ignores a header of the service on pages without HTTPS. */
function isIgnoredHeader(text: string): boolean {
  return text.startsWith('The Cross-Origin-Opener-Policy header has been ignored')
}

/** Signs a user in on a device, as a sign-in on the page does, with the cookie of an earlier sign-in. */
export async function addSession(context: BrowserContext, url: string, { cookie }: Session) {
  const [name = '', value = ''] = cookie.split('=')
  // Browsers store Secure cookies of pages with HTTPS or of this machine only.
  const secure = new URL(url).hostname === '127.0.0.1'
  await context.addCookies([{ name, value, url, httpOnly: true, secure, sameSite: 'Strict' }])
  await context.addInitScript(() => {
    // Only the first page: later ones find what the client has stored.
    if (localStorage.getItem('test') === null)
      localStorage.setItem(`concord ${location.origin} session`, '1')
    localStorage.setItem('test', '1')
  })
}

/** Signs a user in on a page, and waits until the session is stored. */
export function signIn(page: Page, { email }: User) {
  return page.evaluate(account => concord.client.signIn(account), { email, password: PASSWORD })
}

/** Opens a checklist in a tab, and waits until it is live. */
export async function openList(page: Page, listId: string) {
  await page.evaluate(async id => {
    const list = concord.open(id)
    await concord.when(list, view => view)
    await concord.when(list.status, ({ state }) => state === 'live')
    await concord.when(concord.client.connection, ({ state }) => state === 'live')
  }, listId)
}

/** Adds items below one another, and waits for the result of the service. */
export function addItems(page: Page, listId: string, ...texts: string[]) {
  return page.evaluate(async ([id, texts]) => (await concord.open(id).add(texts).settled).outcome, [
    listId,
    texts
  ] as const)
}

/** Waits until a tab shows an item with this text. */
export async function untilShown(page: Page, listId: string, text: string) {
  await page.evaluate(
    async ([id, text]) => {
      await concord.when(concord.open(id), view => view?.items.some(item => item.text === text))
    },
    [listId, text] as const
  )
}

/** Waits until a tab has nothing unsent and shows the same items as the database. Throws with both if it does not. */
export async function untilSame(page: Page, { app }: Pick<Service, 'app'>, listId: string) {
  let [shown, rows] = ['', '']
  await until(async () => {
    rows = JSON.stringify(await readItems(app, listId))
    shown = await page.evaluate(id => {
      const items = concord.open(id).get()?.items ?? []
      const isSent = concord.client.connection.get().unsent === 0
      return JSON.stringify([
        ...items.map(({ text, done, dueOn }) => ({ text, done, dueOn })),
        ...(isSent ? [] : ['unsent'])
      ])
    }, listId)
    return shown === rows
  }).catch(cause => {
    throw new Error(`the tab shows ${shown}, but the rows are ${rows}`, { cause })
  })
}

/** Returns the items of a checklist as the database has them, in order. */
export async function readItems({ sql }: FastifyInstance, listId: string) {
  const rows = await sql<{ text: string; done: boolean; dueOn: string | null }[]>`
    select text, done, due_on::text as "dueOn"
    from checklist_items
    where checklist_id = ${listId}
    order by position, id`
  return rows.map(row => ({ ...row }))
}

/** Returns the revisions of a checklist in the log, in order, that are higher than `after`. */
export async function readRevs({ sql }: FastifyInstance, listId: string, after: number) {
  const rows = await sql<{ rev: number }[]>`
    select rev
    from events
    where checklist_id = ${listId} and rev > ${after}
    order by rev`
  return rows.map(({ rev }) => rev)
}
