import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { AxeResults, RunOptions } from 'axe-core'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { fillService, password, people } from '../../bin/demo/fill.ts'
import { animate } from '../support/animation.ts'
import { launch, type Setup, skip, startService, testPages } from '../support/chromium.ts'
import { signIn } from '../support/users.ts'
import { openAs, untilLine, untilScreen, untilState, untilToast } from '../support/web.ts'

/** With PICTURES=1, as `npm run pictures` sets it, the screens are also written to docs/pictures. */
const writesPictures = process.env.PICTURES === '1'
const folder = join(import.meta.dirname, '../../docs/pictures')

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const rules: RunOptions = {
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  // Without the elements that pass, which cost a third of the time.
  resultTypes: ['violations']
}

const options = { deviceScaleFactor: writesPictures ? 2 : 1, reducedMotion: 'reduce' } as const

/** The themes and sizes in which each screen is checked. The first one is that in which it opens. */
const looks = [
  { colorScheme: 'light', width: 1280, height: 800 },
  { colorScheme: 'light', width: 390, height: 844 },
  { colorScheme: 'dark', width: 390, height: 844 },
  { colorScheme: 'dark', width: 1280, height: 800 }
] as const

interface Screen {
  name: string
  /** name of the picture in docs/pictures */
  picture?: string
  open: (page: Page, ids: { projectId: string; listId: string }, opened: Opened) => Promise<unknown>
}

interface Opened {
  setup: Setup
  openAsBob: (hash: string) => Promise<Page>
}

/** The screens, and what opens on them, in the order in which they are opened. */
const screens: Screen[] = [
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
    name: 'a new project, with an error',
    open: async page => {
      await page.keyboard.press('Escape')
      await page.getByRole('button', { name: 'New project' }).click()
      await page.getByRole('button', { name: 'Create project' }).click()
      await page.getByText('Please fill this in.').waitFor()
    }
  },
  {
    name: 'a project',
    picture: 'project',
    open: async (page, { projectId }) => {
      await page.keyboard.press('Escape')
      await goTo(page, `#/projects/${projectId}`, 'Summer fair')
      await page.getByRole('heading', { name: '3 members' }).waitFor()
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
    name: 'the account, with a message',
    open: async page => {
      await page.keyboard.press('Escape')
      await goTo(page, '#/account', 'Account')
      await page.getByText('This device', { exact: true }).nth(1).waitFor()
      await page.getByRole('button', { name: 'Save' }).click()
      await untilToast(page, 'Your name was changed.')
    }
  },
  {
    name: 'no such page',
    open: async page => {
      // It closes by itself when the check takes long.
      const close = page.getByRole('button', { name: 'Close message' })
      await close.click({ timeout: 1000 }).catch(() => {})
      await page.locator('.toast').waitFor({ state: 'detached' })
      await goTo(page, '#/no/such/page', 'There is no such page')
    }
  },
  {
    name: 'a list with a conflict',
    picture: 'list',
    open: async (page, { listId }, { openAsBob }) => {
      await goTo(page, `#/lists/${listId}`, /To buy/)
      const bob = await openAsBob(`#/lists/${listId}`)
      await untilLine(bob, 'Rye bread')
      await lineOf(bob, 'Rye bread').getByRole('textbox').click()
      await page.getByText('Bob is editing this line').waitFor()
      await untilLine(page, 'Balloons')
      await page.getByText('1 to decide').waitFor()
      await untilState(page, 'Saved')
    }
  },
  {
    name: 'the history of a list',
    picture: 'history',
    open: async page => {
      await page.getByRole('button', { name: 'History', exact: true }).click()
      await page.getByRole('dialog').getByText('Bob').first().waitFor()
    }
  },
  {
    name: 'a list without a network',
    picture: 'offline',
    open: async (page, _, { setup }) => {
      await page.keyboard.press('Escape')
      setup.disconnect()
      await untilState(page, 'Offline')
      await page.getByPlaceholder('Add a line').fill('Lanterns')
      await page.keyboard.press('Enter')
      await untilState(page, 'Offline, 1 waiting')
    }
  }
]

t.test('every screen passes axe', { skip, timeout: 240_000 }, async t => {
  const service = await startService(t)
  const { app } = service
  const browser = await launch(t)
  await fillService(service.url)
  const ann = { ...people[0], id: '', password }
  const bob = { ...people[1], id: '', password }
  const ids = await findList()

  testPages(t, 'screens in both themes, wide and narrow', service, async (t, setup) => {
    await checkSignIn(t, setup)
    const user = { ...ann, ...(await signIn(app, ann)) }
    const { page } = await openAs(setup, browser, user, options)
    const openAsBob = async (hash: string) => {
      const user = { ...bob, ...(await signIn(app, bob)) }
      return (await openAs(setup, browser, user, { hash })).page
    }
    for (const { name, picture, open } of screens) {
      await open(page, ids, { setup, openAsBob })
      await check(t, page, name, picture)
    }
  })

  if (writesPictures) testPages(t, 'an animation of two people', service, writeAnimation)

  /** Writes what Ann sees while Bob and she edit a list. */
  async function writeAnimation(_t: Test, setup: Setup) {
    const options = { hash: `#/lists/${ids.listId}`, viewport: { width: 720, height: 460 } }
    const open = async (user: typeof ann | typeof bob) =>
      (await openAs(setup, browser, { ...user, ...(await signIn(app, user)) }, options)).page
    const [annPage, bobPage] = [await open(ann), await open(bob)]
    const frames: { png: Buffer; ms: number }[] = []
    for (const page of [annPage, bobPage]) await untilLine(page, 'Balloons')
    await annPage.getByRole('button', { name: 'Keep both' }).click()
    await annPage.getByText('1 to decide').waitFor({ state: 'detached' })
    await annPage.mouse.move(0, 0)
    await annPage.getByRole('checkbox', { name: 'Rye bread' }).scrollIntoViewIfNeeded()
    await shoot(1500)

    await lineOf(bobPage, 'Rye bread').getByRole('textbox').click()
    await annPage.getByText('Bob is editing this line').waitFor()
    await shoot(700)
    await bobPage.keyboard.press('End')
    let text = 'Rye bread'
    for (const letter of ', sliced') {
      await bobPage.keyboard.type(letter)
      text += letter
      await untilLine(annPage, text.trim())
      await shoot(140)
    }
    await bobPage.keyboard.press('Escape')
    await annPage.getByText('Bob is editing this line').waitFor({ state: 'detached' })
    await lineOf(annPage, 'Oat milk').getByRole('checkbox').uncheck()
    await annPage.mouse.move(0, 0)
    await shoot(900)
    await lineOf(bobPage, 'Oat milk').locator('input:not(:checked)').waitFor()
    await lineOf(bobPage, text).getByRole('checkbox').check()
    await lineOf(annPage, text).locator('input:checked').waitFor()
    await shoot(900)
    await bobPage.getByPlaceholder('Add a line').fill('Lemonade')
    await bobPage.keyboard.press('Enter')
    await untilLine(annPage, 'Lemonade')
    await shoot(2000)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'two-people.png'), animate(frames))

    async function shoot(ms: number) {
      frames.push({ png: await annPage.screenshot(), ms })
    }
  }

  async function checkSignIn(t: Test, setup: Setup) {
    const device = await setup.openDevice(browser, setup.url, options)
    const page = await device.openPage()
    await untilScreen(page, 'Sign in')
    await check(t, page, 'sign in')
    await page.getByRole('button', { name: 'Create an account' }).click()
    await page.getByRole('button', { name: 'Create account' }).click()
    await check(t, page, 'sign up, with errors')
    await device.context.close()
  }

  async function findList() {
    const [list] = await app.sql<[{ projectId: string; listId: string }]>`
      select project_id as "projectId", id as "listId"
      from checklists
      where title = 'To buy'`
    return list
  }
})

function lineOf(page: Page, text: string) {
  return page.locator('.line', { has: page.getByRole('checkbox', { name: text, exact: true }) })
}

async function goTo(page: Page, hash: string, heading: string | RegExp) {
  await page.evaluate(hash => {
    location.hash = hash
  }, hash)
  await untilScreen(page, heading)
}

/** Fails for each violation that axe finds on a page, in each look, with the elements. */
async function check(t: Test, page: Page, name: string, picture?: string) {
  // A script of the debugger is not subject to the policy of the page.
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe)
  for (const { colorScheme, ...viewport } of looks) {
    await page.setViewportSize(viewport)
    await page.emulateMedia({ colorScheme })
    const { violations } = await page.evaluate(
      (options): Promise<AxeResults> => (globalThis as never as { axe: Axe }).axe.run(options),
      rules
    )
    const found = violations.map(({ id, nodes }) => [
      id,
      ...nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)}: ${failureSummary}`)
    ])
    t.strictSame(found, [], `${name} with ${viewport.width} px in the ${colorScheme} theme`)
    if (picture) await writePicture(page, `${picture}-${colorScheme}-${viewport.width}`)
  }
}

interface Axe {
  run(options: RunOptions): Promise<AxeResults>
}

async function writePicture(page: Page, name: string) {
  if (!writesPictures || !pictures.has(name)) return
  mkdirSync(folder, { recursive: true })
  await page.mouse.move(0, 0)
  await page.screenshot({ path: join(folder, `${pictures.get(name)}.png`) })
}

/** The pictures of the README, by screen, theme and width. */
const pictures = new Map([
  ['list-light-1280', 'list-light'],
  ['list-dark-1280', 'list-dark'],
  ['project-light-1280', 'project'],
  ['history-light-1280', 'history'],
  ['list-dark-390', 'phone'],
  ['offline-light-390', 'phone-offline']
])
