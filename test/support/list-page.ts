import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import type { Test } from 'tap'
import { build, listen } from './app.ts'
import { addSession } from './chromium.ts'
import { addMember, createChecklist, createProject } from './projects.ts'
import { tcpProxy } from './tcp-proxy.ts'
import { until } from './until.ts'
import { createUser, signIn, type User } from './users.ts'

export type ListPages = Awaited<ReturnType<typeof startListPages>>

/**
 * Starts a service with its page, behind a TCP proxy, and opens a device for Ann and one for Bob. All tests of a file
 * use them, because it takes longer to open a device than to run a test.
 */
export async function startListPages(t: Pick<Test, 'teardown'>, browser: Browser) {
  const app = await build(t, { WEB: 'on' })
  const proxy = await tcpProxy(t, await listen(app))
  t.teardown(() => proxy.close())
  const problems: string[] = []
  const expected: RegExp[] = []
  const pages = new Set<Page>()
  const ann = await createUser(app, 'Ann')
  const bob = await createUser(app, 'Bob')
  const annPage = await openDevice(ann)
  const bobPage = await openDevice(bob)

  return {
    ...{ app, ann, bob, annPage, bobPage, problems, expected, pages },
    url: proxy.url,
    /** Allows lines of the console until the end of the test. */
    expect(line: RegExp) {
      expected.push(line)
    },
    /** Closes all connections and refuses new ones. From now on the browser may log network errors. */
    disconnect() {
      expected.push(/net::ERR_|WebSocket connection to/)
      proxy.close()
    },
    reconnect,
    openDevice,
    openTab,
    open,
    createList,
    /** Creates a list of Ann and Bob, and opens it on both devices. */
    async openShared(role?: string, title?: string) {
      const list = await createList(role, title)
      await Promise.all([open(annPage, list.listId), open(bobPage, list.listId)])
      return list
    }
  }

  /** Accepts connections again. The pages receive the event of the browser that there is a network. */
  async function reconnect() {
    await proxy.reopen()
    for (const page of pages)
      await page.evaluate(() => dispatchEvent(new Event('online'))).catch(() => {})
  }

  /** Creates a list of Ann, of whose project Bob is a member with a role. */
  async function createList(role = 'editor', title?: string) {
    const projectId = await createProject(ann, 'Summer fair')
    await addMember(ann, projectId, bob, role)
    return { projectId, listId: await createChecklist(ann, projectId, title) }
  }

  /** Opens a device with a profile of its own on which a user is signed in. */
  async function openDevice(user: User, options: BrowserContextOptions = {}) {
    const context = await browser.newContext({
      reducedMotion: 'reduce',
      viewport: { width: 1000, height: 800 },
      locale: 'en-GB',
      ...options
    })
    t.teardown(() => context.close().catch(() => {}))
    await addSession(context, proxy.url, await signIn(app, user))
    return openTab(context)
  }

  async function openTab(context: BrowserContext) {
    const page = await context.newPage()
    page.setDefaultTimeout(30_000)
    pages.add(page)
    page.on('close', () => pages.delete(page))
    page.on('crash', () => pages.delete(page))
    page.on('pageerror', error => problems.push(`uncaught: ${error.stack}`))
    page.on('console', message => {
      const line = `${message.text()} (${message.location().url})`
      if (message.type() === 'error' && !expected.some(pattern => pattern.test(line)))
        problems.push(line)
    })
    await page.goto(`${proxy.url}/`)
    return page
  }

  /** Opens a checklist in a tab. */
  async function open(page: Page, listId: string) {
    await page.goto(`${proxy.url}/#/lists/${listId}`)
    await page.locator(`.list-screen[data-list="${listId}"] .lines`).waitFor()
  }
}

/** Runs a test with pages, and fails when one of them throws, logs an error or violates its policy. */
export function testList(
  t: Test,
  title: string,
  pages: ListPages,
  run: (t: Test, pages: ListPages) => Promise<void>
) {
  t.test(title, async t => {
    try {
      await run(t, pages)
    } catch (error) {
      for (const [n, page] of [...pages.pages].entries())
        await page
          .screenshot({ path: `.tap/pictures/${title.replace(/\W+/g, '-')}-${n + 1}.png` })
          .catch(() => {})
      throw error
    } finally {
      t.strictSame(pages.problems.splice(0), [], 'no page has logged an error')
      await pages.reconnect()
      pages.expected.length = 0
    }
  })
}

/** A line. Rows without a line, which are empty, are between them. */
const LINE = '.line:not(.is-empty)'

async function indexOf(page: Page, text: string): Promise<number> {
  const { at } = await until(async () => {
    const at = (await textsOf(page)).indexOf(text)
    return at < 0 ? undefined : { at }
  })
  return at
}

/** Returns the text field of the line with this text. */
export async function textField(page: Page, text: string) {
  return page.locator(`${LINE} textarea`).nth(await indexOf(page, text))
}

/** Returns the element of the line with this text. */
export async function lineOf(page: Page, text: string) {
  return page.locator(LINE).nth(await indexOf(page, text))
}

/** Returns the texts of the lines. */
export function textsOf(page: Page): Promise<string[]> {
  return page
    .locator(`${LINE} textarea`)
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

/** Types texts below the last line. */
export async function addLines(page: Page, ...texts: string[]) {
  // There is another empty line above when lines of others came below that of this user.
  await page.getByRole('textbox', { name: 'Add a line' }).last().click()
  for (const text of texts) {
    await page.keyboard.insertText(text)
    await page.keyboard.press('Enter')
  }
}

/** Replaces the text of a line. */
export async function rewrite(page: Page, line: string, text: string) {
  const field = await textField(page, line)
  await field.fill(text)
  await field.press('Escape')
}

/** Chooses an entry of the menu of a line. */
export async function choose(page: Page, line: string, item: string) {
  await (await lineOf(page, line)).hover()
  await page.getByRole('button', { name: `Actions for ${line}` }).click()
  await page.getByRole('menuitem', { name: item }).click()
}
