import t from 'tap'
import { launch, skip, startService, testPages } from '../support/chromium.ts'
import { createChecklist, createProject } from '../support/projects.ts'
import { until } from '../support/until.ts'
import { createUser, PASSWORD, signIn } from '../support/users.ts'
import {
  fillSignIn,
  openAs,
  untilCopied,
  untilLine,
  untilScreen,
  untilState,
  untilToast
} from '../support/web.ts'

t.test('accounts on the page', { skip }, async t => {
  const service = await startService(t)
  const { app } = service
  const browser = await launch(t)

  testPages(t, 'a new user signs up, out and in again', service, async (t, setup) => {
    setup.expect(/40[019] \((?:Bad Request|Unauthorized|Conflict)\) \(\S+\/auth\/sign(?:up|in)\)$/)
    const taken = await createUser(app)
    const device = await setup.openDevice(browser)
    const page = await device.openPage()
    await untilScreen(page, 'Sign in')
    await page.getByRole('button', { name: 'Create an account' }).click()

    const submit = page.getByRole('button', { name: 'Create account' })
    const name = page.getByLabel('Name')
    const email = page.getByLabel('Email')
    const password = page.getByLabel('Password', { exact: true })
    await submit.click()
    t.equal(await page.getByText('Please fill this in.').count(), 3)
    t.equal(await name.evaluate(input => input === document.activeElement), true)
    await name.fill('Zoe')
    await email.fill('nowhere')
    await password.fill('short')
    await submit.click()
    await page.getByText('This is not an email address.').waitFor()
    t.equal(await email.getAttribute('aria-invalid'), 'true')
    await email.fill(taken.email)
    await submit.click()
    await page.getByText('Use at least 7 characters.').waitFor()
    await password.fill(PASSWORD)
    await submit.click()
    await page.getByText('There is an account with this email.').waitFor()
    const described = await email.getAttribute('aria-describedby')
    t.match(await page.locator(`[id="${described}"]`).textContent(), 'There is an account')
    const address = `zoe-${Date.now()}@example.com`
    await email.fill(address)
    await page.keyboard.press('Enter')
    await untilScreen(page, 'Projects')
    t.equal(await page.title(), 'Projects · Concord')
    await page.getByText('No projects yet').waitFor()
    await untilState(page, 'Saved')
    const focused = () => page.evaluate(() => document.activeElement?.textContent)
    t.equal(await focused(), 'Projects')

    await page.getByRole('button', { name: 'Account of Zoe' }).click()
    await page.getByRole('menuitem', { name: 'Sign out' }).click()
    await page.getByText('You are signed out.').waitFor()
    t.equal(await focused(), 'Sign in')
    await fillSignIn(page, { email: address }, 'not this one')
    await page.getByText('Email or password is wrong.').waitFor()
    t.equal(await password.evaluate(input => input === document.activeElement), true)
    await fillSignIn(page, { email: address })
    await untilScreen(page, 'Projects')
    await page.reload()
    await untilScreen(page, 'Projects')
  })

  testPages(t, 'password managers recognise the fields', service, async (t, setup) => {
    const device = await setup.openDevice(browser)
    const page = await device.openPage()
    await untilScreen(page, 'Sign in')
    const names = () =>
      page
        .locator('form input')
        .evaluateAll(inputs => inputs.map(input => input.getAttribute('autocomplete')))
    t.strictSame(await names(), ['username', 'current-password'])
    await page.getByRole('button', { name: 'Create an account' }).click()
    t.strictSame(await names(), ['name', 'username', 'new-password'])
    const password = page.getByLabel('Password', { exact: true })
    await page.getByRole('button', { name: 'Show password' }).click()
    t.equal(await password.getAttribute('type'), 'text')
  })

  testPages(t, 'an address is opened after the sign-in', service, async (_t, setup) => {
    const user = await createUser(app)
    const projectId = await createProject(user, 'Summer fair')
    const device = await setup.openDevice(browser)
    const page = await device.openPage(`#/projects/${projectId}`)
    await fillSignIn(page, user)
    await untilScreen(page, 'Summer fair')
  })

  testPages(t, 'a user changes name and password and ends sessions', service, async (_t, setup) => {
    setup.expect(/40[013] \((?:Bad Request|Unauthorized|Forbidden)\) \(\S+\/(?:auth|users)\/\S+$/)
    const user = await createUser(app)
    await signIn(app, user)
    const other = await openAs(setup, browser, { ...user, ...(await signIn(app, user)) })
    const { page } = await openAs(setup, browser, user, { hash: '#/account' })

    const name = page.getByLabel('Your name')
    await name.fill('Anna')
    await page.getByRole('button', { name: 'Save' }).click()
    await untilToast(page, 'Your name was changed.')
    await page.getByRole('button', { name: 'Account of Anna' }).waitFor()

    const ends = page.getByRole('button', { name: /^End (?!all)/ })
    await until(async () => (await ends.count()) === 2)
    await ends.last().click()
    await until(async () => (await ends.count()) === 1)

    await page.getByLabel('Current password', { exact: true }).fill('not this one')
    await page.getByLabel('New password', { exact: true }).fill('another long password')
    await page.getByRole('button', { name: 'Change password' }).click()
    await page.getByText('This is not your password.').waitFor()
    await page.getByLabel('Current password', { exact: true }).fill(PASSWORD)
    await page.getByRole('button', { name: 'Change password' }).click()
    await untilToast(page, 'Your password was changed.')
    await other.page.getByText('The password was changed.').waitFor()
    await until(async () => (await ends.count()) === 0)

    await fillSignIn(other.page, user, 'another long password')
    await untilScreen(other.page, 'Projects')
    await page.reload()
    await ends.waitFor()
    await page.getByRole('button', { name: 'End all others' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'End all others' }).click()
    await other.page.getByText('You were signed out on another device.').waitFor()

    await page.getByRole('button', { name: 'Delete account' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Password', { exact: true }).fill('another long password')
    await dialog.getByRole('button', { name: 'Delete account' }).click()
    await page.getByText('The account was deleted.').waitFor()
  })

  testPages(t, 'the theme follows the system until it is chosen', service, async (t, setup) => {
    const user = await createUser(app)
    const { page, openPage } = await openAs(setup, browser, user, { colorScheme: 'dark' })
    const isDark = (tab = page) =>
      tab.evaluate(() => {
        const [red = 255] = getComputedStyle(document.documentElement)
          .backgroundColor.match(/\d+/g)
          ?.map(Number) ?? [255]
        return red < 128
      })
    t.equal(await isDark(), true)
    await page.getByRole('button', { name: /Account of/ }).click()
    await page.getByRole('menuitemradio', { name: 'Light' }).click()
    t.equal(await isDark(), false)
    await page.reload()
    await untilScreen(page, 'Projects')
    t.equal(await isDark(), false)
    const second = await openPage()
    await second.getByRole('button', { name: /Account of/ }).click()
    await second.getByRole('menuitemradio', { name: 'Theme of the system' }).click()
    await until(() => isDark())
  })

  const shortLived = await startService(t, { ACCESS_TOKEN_TTL: '3' })
  testPages(t, 'an expired access token is renewed unnoticed', shortLived, async (t, setup) => {
    setup.expect(/403 \(Forbidden\)/)
    const user = await createUser(shortLived.app)
    const { page } = await openAs(setup, browser, user)
    let refreshes = 0
    page.on('request', request => {
      if (request.url().endsWith('/auth/refresh')) refreshes++
    })
    await until(async () => refreshes >= 2, 20_000)
    await page.getByRole('button', { name: 'New project' }).click()
    await page.getByLabel('Name').fill('After the expiry')
    await page.getByRole('button', { name: 'Create project' }).click()
    await untilScreen(page, 'After the expiry')
    t.equal(await page.locator('.toast').count(), 0)
  })

  testPages(t, 'the page reloads without a network', service, async (t, setup) => {
    const user = await createUser(app)
    const projectId = await createProject(user)
    const listId = await createChecklist(user, projectId)
    await app.sql`insert into checklist_items (checklist_id, text) values (${listId}, 'Milk')`
    const { page, context } = await openAs(setup, browser, user, { hash: `#/lists/${listId}` })
    await untilLine(page, 'Milk')
    await untilState(page, 'Saved')
    await untilCopied(page)
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => {}))
    await context.grantPermissions(['local-network-access'])
    setup.disconnect()
    await untilState(page, 'Offline')
    await page.reload()
    await untilLine(page, 'Milk')
    await untilState(page, 'Offline')
    t.equal(await page.getByRole('heading', { level: 1 }).count(), 1)
    await page.getByRole('link', { name: 'Fair', exact: true }).click()
    await untilScreen(page, 'Fair')
    await page.getByRole('link', { name: 'Projects', exact: true }).click()
    await page.getByRole('link', { name: /Fair.*Owner/ }).waitFor()
    await setup.reconnect()
    await untilState(page, 'Saved')
  })

  testPages(t, 'unsent changes wait for a sign-in', service, async (t, setup) => {
    setup.expect(/40[13] \((?:Unauthorized|Forbidden)\)/)
    const user = await createUser(app)
    const listId = await createChecklist(user, await createProject(user))
    const { page } = await openAs(setup, browser, user, { hash: `#/lists/${listId}` })
    await page.getByPlaceholder('Add a line').waitFor()
    await untilState(page, 'Saved')
    setup.disconnect()
    await untilState(page, 'Offline')
    await page.getByPlaceholder('Add a line').fill('Milk')
    await page.keyboard.press('Enter')
    await untilState(page, 'Offline, 1 waiting')

    await page.getByRole('button', { name: /Account of/ }).click()
    await page.getByRole('menuitem', { name: 'Sign out' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('1 change was not sent yet').waitFor()
    await dialog.getByRole('button', { name: 'Sign out' }).click()
    await dialog.getByText('The service cannot be reached.').waitFor()
    await dialog.getByRole('button', { name: 'Cancel' }).click()

    await app.sql`update sessions set revoked_at = now() where user_id = ${user.id}`
    await setup.reconnect()
    await page.getByText('1 change waits on this device until you sign in.').waitFor()
    await untilState(page, 'Sign in to send 1')
    await fillSignIn(page, user)
    await untilLine(page, 'Milk')
    await untilState(page, 'Saved')
    const [item] = await app.sql`select text from checklist_items where checklist_id = ${listId}`
    t.equal(item?.text, 'Milk')
  })

  testPages(t, 'the service worker stores no response of the API', service, async (t, setup) => {
    const user = await createUser(app)
    await createProject(user, 'Summer fair')
    const { page } = await openAs(setup, browser, user)
    await page.getByText('Summer fair').waitFor()
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => {}))
    await page.reload()
    await page.getByText('Summer fair').waitFor()
    const paths = await page.evaluate(async () => {
      const names = await caches.keys()
      const requests = await Promise.all(names.map(async name => (await caches.open(name)).keys()))
      return requests.flat().map(({ url }) => new URL(url).pathname)
    })
    t.ok(paths.includes('/'))
    t.strictSame(
      paths.filter(path => path !== '/' && !path.startsWith('/assets/')),
      []
    )
  })

  testPages(t, 'an old tab offers to reload after an update', service, async (_t, setup) => {
    const user = await createUser(app)
    const { page, context } = await openAs(setup, browser, user)
    await untilState(page, 'Saved')
    await context.route('**/', async route => {
      const response = await route.fetch()
      const body = (await response.text()).replace(/main-\w+\.js/, 'main-NEWNEWNE.js')
      await route.fulfill({ response, body })
    })
    setup.disconnect()
    await untilState(page, 'Offline')
    await setup.reconnect()
    await untilToast(page, 'There is a new version of this page.')
    await context.unrouteAll()
    await Promise.all([
      page.waitForEvent('load'),
      page.getByRole('button', { name: 'Reload', exact: true }).click()
    ])
    await untilScreen(page, 'Projects')
  })

  testPages(t, 'a browser that refuses cookies is told so', service, async (_t, setup) => {
    const device = await setup.openDevice(browser)
    await device.context.addInitScript(() => {
      Object.defineProperty(navigator, 'cookieEnabled', { value: false })
    })
    const page = await device.openPage()
    await page.getByText('This browser refuses the cookie').waitFor()
  })

  testPages(t, 'changes that cannot be stored are reported', service, async (_t, setup) => {
    const user = await createUser(app)
    const listId = await createChecklist(user, await createProject(user))
    const device = await setup.openDevice(browser)
    await device.context.addInitScript(() => {
      IDBFactory.prototype.open = () => {
        throw new DOMException('refused', 'SecurityError')
      }
    })
    const page = await device.openPage(`#/lists/${listId}`)
    await fillSignIn(page, user)
    await untilState(page, 'Saved')
    setup.disconnect()
    await untilState(page, 'Offline')
    await page.getByPlaceholder('Add a line').fill('Milk')
    await page.keyboard.press('Enter')
    await untilState(page, 'Not saved on this device')
    await setup.reconnect()
    await untilState(page, 'Saved')
  })

  testPages(
    t,
    'without JavaScript the page explains what is missing',
    service,
    async (_t, setup) => {
      const device = await setup.openDevice(browser, setup.url, { javaScriptEnabled: false })
      const page = await device.openPage()
      await page.locator('noscript p', { hasText: 'This page needs JavaScript.' }).waitFor()
    }
  )
})

t.test('the page at an address without HTTPS', { skip }, async t => {
  const service = await startService(t)
  const browser = await launch(t, ['--host-resolver-rules=MAP concord.test 127.0.0.1'])

  testPages(t, 'says why a sign-in does not last', service, async (_t, setup) => {
    const url = setup.url.replace('127.0.0.1', 'concord.test')
    const device = await setup.openDevice(browser, url)
    const page = await device.openPage()
    await page.getByText('browsers keep the cookie of a sign-in').waitFor()
    await untilScreen(page, 'Sign in')
  })
})
