import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import type { Test } from 'tap'
import { build, listen } from './app.ts'
import { createChecklist, createProject } from './projects.ts'
import { tcpProxy } from './tcp-proxy.ts'
import { until } from './until.ts'
import { createUser, type User } from './users.ts'

export type ListService = Awaited<ReturnType<typeof startListService>>
export type ListSetup = Awaited<ReturnType<typeof setUp>>

/** Starts a service with its page. */
export async function startListService(t: Pick<Test, 'teardown'>) {
  const app = await build(t)
  return { app, url: await listen(app) }
}

/** Runs a test with pages, and fails when one of them throws, logs an error or violates its policy. */
export function testList(
  t: Test,
  title: string,
  service: ListService,
  run: (t: Test, setup: ListSetup) => Promise<void>
) {
  t.test(title, async t => {
    const setup = await setUp(t, service)
    try {
      await run(t, setup)
    } catch (error) {
      await setup.keepPictures(title)
      throw error
    } finally {
      t.strictSame(setup.problems, [], 'no page has logged an error')
    }
  })
}

async function setUp(t: Pick<Test, 'teardown'>, { app, url: serviceUrl }: ListService) {
  const proxy = await tcpProxy(t, serviceUrl)
  t.teardown(() => proxy.close())
  const problems: string[] = []
  const pages: Page[] = []
  let isNetworkLost = false

  return {
    app,
    problems,
    url: proxy.url,
    /** Closes all connections and refuses new ones. From now on the browser may log network errors. */
    disconnect() {
      isNetworkLost = true
      proxy.close()
    },
    async reconnect() {
      await proxy.reopen()
      for (const page of pages) await page.evaluate(() => dispatchEvent(new Event('online')))
    },
    openList,
    /** Stores a picture of each page in `.tap`, for a test that has failed. */
    async keepPictures(title: string) {
      for (const [n, page] of pages.entries())
        await page
          .screenshot({ path: `.tap/pictures/${title.replace(/\W+/g, '-')}-${n + 1}.png` })
          .catch(() => {})
    }
  }

  /** Opens a checklist as a user on a device of its own. */
  async function openList(
    browser: Browser,
    user: User,
    listId: string,
    options: BrowserContextOptions = {}
  ) {
    const context = await browser.newContext({
      reducedMotion: 'reduce',
      viewport: { width: 1000, height: 800 },
      locale: 'en-GB',
      ...options
    })
    t.teardown(() => context.close().catch(() => {}))
    const at = user.cookie.indexOf('=')
    const cookie = { name: user.cookie.slice(0, at), value: user.cookie.slice(at + 1) }
    await context.addCookies([
      { ...cookie, url: proxy.url, httpOnly: true, secure: true, sameSite: 'Strict' }
    ])
    const page = await context.newPage()
    pages.push(page)
    watch(page)
    await page.goto(`${proxy.url}/#/lists/${listId}`)
    await page.locator('.lines').waitFor()
    return page
  }

  function watch(page: Page) {
    page.on('pageerror', error => problems.push(`uncaught: ${error.stack}`))
    page.on('console', message => {
      if (message.type() !== 'error') return
      const text = message.text()
      if (isNetworkLost && /net::ERR_|WebSocket connection to/.test(text)) return
      problems.push(`${text} (${message.location().url})`)
    })
  }
}

/** Creates a user with a project and a checklist. */
export async function createList({ app }: ListService, title?: string) {
  const user = await createUser(app, 'Ann')
  const projectId = await createProject(user, 'Summer fair')
  return { user, projectId, listId: await createChecklist(user, projectId, title) }
}

/** Returns the text field of the line with this text. */
export async function textField(page: Page, text: string) {
  const index = await until(async () => {
    const at = (await textsOf(page)).indexOf(text)
    return at < 0 ? undefined : { at }
  })
  return page.locator('.line textarea').nth(index.at)
}

/** Returns the element of the line with this text. */
export async function lineOf(page: Page, text: string) {
  const index = await until(async () => {
    const at = (await textsOf(page)).indexOf(text)
    return at < 0 ? undefined : { at }
  })
  return page.locator('.line').nth(index.at)
}

/** Returns the texts of the lines. */
export function textsOf(page: Page): Promise<string[]> {
  return page
    .locator('.line:not(.is-empty) textarea')
    .evaluateAll(all => all.map(one => (one as HTMLTextAreaElement).value))
}

/** Waits until a page shows these lines. Throws with what it shows if it does not. */
export async function untilTexts(page: Page, ...texts: string[]) {
  let shown: string[] = []
  await until(async () => {
    shown = await textsOf(page)
    return JSON.stringify(shown) === JSON.stringify(texts)
  }).catch(cause => {
    throw new Error(`the page shows ${JSON.stringify(shown)}`, { cause })
  })
}

/** Waits until everything that a page has changed is stored by the service. */
export async function untilSaved(page: Page) {
  await page.locator('.pill', { hasText: 'Saved' }).waitFor()
}

/** Types a text below the last line and starts the next line. */
export async function addLines(page: Page, ...texts: string[]) {
  const field = page.getByRole('textbox', { name: 'Add a line' })
  await field.click()
  for (const text of texts) {
    await page.keyboard.type(text)
    await page.keyboard.press('Enter')
  }
}
