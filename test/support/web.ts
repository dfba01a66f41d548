import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { addSession, type Setup } from './chromium.ts'
import { until } from './until.ts'
import { PASSWORD, type User } from './users.ts'

/** Opens the page on a device where the user is signed in already. */
export async function openAs(
  setup: Setup,
  browser: Browser,
  user: User,
  { hash = '', ...options }: BrowserContextOptions & { hash?: string } = {}
) {
  const device = await setup.openDevice(browser, setup.url, { reducedMotion: 'reduce', ...options })
  await addSession(device.context, setup.url, user)
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

/** Waits for a message at the edge of the page. */
export async function untilToast(page: Page, text: string) {
  await page.locator('.toast', { hasText: text }).waitFor()
}

/** Waits until a checklist shows a line. */
export async function untilLine(page: Page, text: string) {
  await page.getByRole('checkbox', { name: text, exact: true }).waitFor({ state: 'attached' })
}

/** Waits until the browser has stored a copy of a checklist, which the page shows without a network. */
export async function untilCopied(page: Page) {
  await until(() =>
    page.evaluate(async () => {
      const names = (await indexedDB.databases()).map(({ name = '' }) => name)
      const counts = await Promise.all(names.map(countCopies))
      return counts.some(count => count > 0)

      function countCopies(name: string) {
        return new Promise<number>((resolve, reject) => {
          const opening = indexedDB.open(name)
          opening.onerror = () => reject(opening.error)
          opening.onsuccess = () => {
            const database = opening.result
            if (!database.objectStoreNames.contains('checklists')) return done(0)
            const rows = database.transaction('checklists').objectStore('checklists')
            const counting = rows.index('savedAt').count()
            counting.onsuccess = () => done(counting.result)

            function done(count: number) {
              database.close()
              resolve(count)
            }
          }
        })
      }
    })
  )
}
