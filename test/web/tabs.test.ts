import type { Page } from 'playwright-core'
import t from 'tap'
import {
  launchWithCache,
  refusedRefresh,
  skip,
  startService,
  testPages
} from '../support/chromium.ts'
import { createProject } from '../support/projects.ts'
import { until } from '../support/until.ts'
import { createUser, type User } from '../support/users.ts'
import { fillSignIn, openAs, untilState } from '../support/web.ts'

t.test('the tabs of one browser', { skip }, async t => {
  const service = await startService(t)
  const { app } = service
  const browser = await launchWithCache(t)

  testPages(t, 'ten tabs follow a sign-out and a sign-in of one', service, async (t, setup) => {
    setup.expect(refusedRefresh)
    const user = await createUser(app)
    await createProject(user, 'Summer fair')
    const { page, openPage } = await openAs(setup, browser, user)
    const others = await Promise.all(Array.from({ length: 9 }, () => openPage()))
    for (const tab of others) await tab.getByText('Summer fair').waitFor()
    t.equal((await setup.connections())[0], 1, 'they share one stream')
    await page.getByRole('button', { name: /Account of/ }).click()
    await page.getByRole('menuitem', { name: 'Sign out' }).click()
    for (const tab of others) await tab.getByText('You are signed out.').waitFor()
    await fillSignIn(others[3] ?? page, user)
    for (const tab of [page, ...others]) await tab.getByText('Summer fair').waitFor()
  })

  testPages(t, 'another tab is live when the leader crashes', service, async (_t, setup) => {
    const user = await createUser(app)
    const { page, openPage } = await openAs(setup, browser, user)
    await untilState(page, 'Saved')
    const follower = await openPage()
    await untilState(follower, 'Saved')
    await Promise.all([page.waitForEvent('crash'), page.goto('chrome://crash').catch(() => {})])
    await untilProject(follower, user, 'After the crash')
  })

  testPages(t, 'another tab is live while the leader is frozen', service, async (_t, setup) => {
    const user = await createUser(app)
    const { page, openPage } = await openAs(setup, browser, user)
    await untilState(page, 'Saved')
    const follower = await openPage()
    await untilState(follower, 'Saved')
    const devTools = await page.context().newCDPSession(page)
    await devTools.send('Page.setWebLifecycleState', { state: 'frozen' })
    await untilProject(follower, user, 'While it is frozen')
    await devTools.send('Page.setWebLifecycleState', { state: 'active' })
    await page.getByText('While it is frozen').waitFor()
    await untilState(page, 'Saved')
  })

  testPages(t, 'a page from the back/forward cache is live again', service, async (t, setup) => {
    const user = await createUser(app)
    const { page } = await openAs(setup, browser, user)
    await untilState(page, 'Saved')
    // A service worker that begins to run ends all pages in the back/forward cache.
    await page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated')
    // A busy machine may need longer than the browser allows to put a page into the cache.
    let tries = 0
    for (let isRestored = false; !isRestored && tries < 4; tries++) {
      await page.evaluate(() => {
        addEventListener('pageshow', ({ persisted }) => {
          document.documentElement.dataset.shown = persisted ? 'from the cache' : 'anew'
        })
        location.href = '/test/away'
      })
      await page.waitForURL('**/test/away')
      await until(async () => (await setup.connections())[0] === 0)
      const name = `Created while the page was away, try ${tries}`
      await createProject(user, name)
      await page.evaluate(() => history.back())
      await page.getByText(name).waitFor()
      await untilState(page, 'Saved')
      isRestored = (await page.locator('html').getAttribute('data-shown')) === 'from the cache'
    }
    t.ok(tries < 4, `restored with try ${tries}`)
    await untilProject(page, user, 'Live again')
  })

  /** Creates a project through the API, and waits until a tab shows it. */
  async function untilProject(tab: Page, user: User, name: string) {
    await createProject(user, name)
    await tab.getByText(name).waitFor()
  }
})
