import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AxeResults, RunOptions } from 'axe-core'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { launch, type Setup, skip, startService, testPages } from '../support/chromium.ts'
import { addMember, createChecklist, createProject } from '../support/projects.ts'
import { createUser, signIn, type User } from '../support/users.ts'
import { openAs, untilLine, untilScreen, untilState } from '../support/web.ts'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const options: RunOptions = {
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
}

/** What axe checks: each screen, and what opens on it. */
const screens: { name: string; open: (page: Page, shown: Shown) => Promise<unknown> }[] = [
  {
    name: 'projects',
    open: page => goTo(page, '#/', 'Projects')
  },
  {
    name: 'the menu of the account',
    open: async page => {
      await page.getByRole('button', { name: /^Account of/ }).click()
      await page.getByRole('menu').waitFor()
    }
  },
  {
    name: 'a new project',
    open: async page => {
      await page.keyboard.press('Escape')
      await page.getByRole('button', { name: 'New project' }).click()
      await page.getByRole('button', { name: 'Create project' }).click()
      await page.getByText('Please fill this in.').waitFor()
    }
  },
  {
    name: 'a project',
    open: async (page, { projectId }) => {
      await page.keyboard.press('Escape')
      await goTo(page, `#/projects/${projectId}`, 'Summer fair')
      await page.getByRole('heading', { name: '2 members' }).waitFor()
      await page.getByRole('link', { name: /To buy/ }).waitFor()
    }
  },
  {
    name: 'a question before a deletion',
    open: async page => {
      await page.getByRole('button', { name: 'Project actions' }).click()
      await page.getByRole('menuitem', { name: 'Delete project' }).click()
      await page.getByRole('dialog').waitFor()
    }
  },
  {
    name: 'the account',
    open: async page => {
      await page.keyboard.press('Escape')
      await goTo(page, '#/account', 'Account')
      await page.getByText('This device', { exact: true }).nth(1).waitFor()
    }
  },
  {
    name: 'a list',
    open: async (page, { listId }) => {
      await goTo(page, `#/lists/${listId}`, /To buy/)
      await untilLine(page, 'Milk')
      await untilState(page, 'Saved')
    }
  },
  { name: 'no such page', open: page => goTo(page, '#/no/such/page', 'There is no such page') }
]

t.test('every screen passes axe', { skip }, async t => {
  const service = await startService(t)
  const { app } = service
  const browser = await launch(t)
  const ann = await createUser(app, 'Ann Baker')
  const shown = await createShown(ann)

  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [390, 1280]) {
      const title = `screens with ${width} px in the ${colorScheme} theme`
      testPages(t, title, service, async (t, setup) => {
        const options = { colorScheme, viewport: { width, height: 844 } }
        await checkSignIn(t, setup, options)
        const { page } = await openAs(
          setup,
          browser,
          { ...ann, ...(await signIn(app, ann)) },
          options
        )
        for (const { name, open } of screens) {
          await open(page, shown)
          await check(t, page, name)
        }
      })
    }
  }

  async function checkSignIn(t: Test, setup: Setup, options: object) {
    const device = await setup.openDevice(browser, setup.url, options)
    const page = await device.openPage()
    await untilScreen(page, 'Sign in')
    await check(t, page, 'sign in')
    await page.getByRole('button', { name: 'Create an account' }).click()
    await page.getByRole('button', { name: 'Create account' }).click()
    await check(t, page, 'sign up, with errors')
    await device.context.close()
  }

  async function createShown(ann: User) {
    const projectId = await createProject(ann, 'Summer fair')
    await addMember(ann, projectId, await createUser(app, 'Bob'))
    const listId = await createChecklist(ann, projectId)
    await app.sql`
      insert into checklist_items (checklist_id, text, done, due_on)
      values
        (${listId}, 'Milk', false, null),
        (${listId}, 'Order 12 white chairs by Friday', true, '2026-12-24')`
    return { projectId, listId }
  }
})

type Shown = { projectId: string; listId: string }

async function goTo(page: Page, hash: string, heading: string | RegExp) {
  await page.evaluate(hash => {
    location.hash = hash
  }, hash)
  await untilScreen(page, heading)
}

/** Fails for each violation that axe finds on a page, with the elements. */
async function check(t: Test, page: Page, name: string) {
  // A script of the debugger is not subject to the policy of the page.
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe)
  const { violations } = await page.evaluate(
    (options): Promise<AxeResults> => (globalThis as never as { axe: Axe }).axe.run(options),
    options
  )
  const found = violations.map(({ id, nodes }) => [
    id,
    ...nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)}: ${failureSummary}`)
  ])
  t.strictSame(found, [], name)
}

interface Axe {
  run(options: RunOptions): Promise<AxeResults>
}
