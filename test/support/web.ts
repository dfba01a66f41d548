import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import type { Setup } from './chromium.ts'
import { PASSWORD, type User } from './users.ts'

/** Opens the page on a device where the user is signed in already. */
export async function openAs(
  setup: Setup,
  browser: Browser,
  user: User,
  { hash = '', ...options }: BrowserContextOptions & { hash?: string } = {}
) {
  const device = await setup.openDevice(browser, setup.url, { reducedMotion: 'reduce', ...options })
  const [name = '', value = ''] = user.cookie.split('=')
  await device.context.addCookies([
    { name, value, url: setup.url, httpOnly: true, sameSite: 'Strict' }
  ])
  const page = await device.openPage(hash)
  await page.getByRole('button', { name: `Account of ${user.name}` }).waitFor()
  return { ...device, page }
}

/** Fills in the form of the sign-in screen and sends it. */
export async function fillSignIn(page: Page, { email }: { email: string }, password = PASSWORD) {
  await page.getByLabel('Email').fill(email)
  await page.getByLabel('Password', { exact: true }).fill(password)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
}

/** Waits until the state of the connection is shown with this text. */
export async function untilState(page: Page, text: string | RegExp) {
  await page.locator('.pill', { hasText: text }).waitFor()
}

/** Waits for the heading of a screen. */
export async function untilScreen(page: Page, name: string | RegExp) {
  await page.getByRole('heading', { level: 1, name }).waitFor()
}
