import t from 'tap'
import { launch, skip, startService, testPages } from '../support/chromium.ts'
import { addMember, createChecklist, createProject } from '../support/projects.ts'
import { createUser } from '../support/users.ts'
import { openAs, untilScreen, untilState, untilToast } from '../support/web.ts'

t.test('projects on the page', { skip }, async t => {
  const service = await startService(t)
  const { app } = service
  const browser = await launch(t)

  testPages(t, 'an added user sees the project without a reload', service, async (t, setup) => {
    const [ann, bob] = [await createUser(app, 'Ann'), await createUser(app, 'Bob')]
    const { page: annPage } = await openAs(setup, browser, ann)
    const { page: bobPage } = await openAs(setup, browser, bob)
    await bobPage.getByText('No projects yet').waitFor()
    const loads = countLoads(bobPage)

    await annPage.getByRole('button', { name: 'New project' }).click()
    await annPage.getByLabel('Name', { exact: true }).fill('Summer fair')
    await annPage.keyboard.press('Enter')
    await untilScreen(annPage, 'Summer fair')
    await annPage.getByText('Add people by email').waitFor()
    await annPage.getByLabel('Add a person by email').fill(bob.email.toUpperCase())
    await annPage.getByRole('button', { name: 'Add', exact: true }).click()
    await untilToast(annPage, 'Bob was added.')
    await annPage.getByRole('heading', { name: '2 members' }).waitFor()

    await untilToast(bobPage, 'You were added to “Summer fair”.')
    await bobPage.getByRole('link', { name: /Summer fair.*New.*Editor/ }).waitFor()
    await bobPage.getByRole('button', { name: 'Open' }).click()
    await untilScreen(bobPage, 'Summer fair')
    t.equal(await bobPage.title(), 'Summer fair · Concord')

    await annPage.getByLabel('Role of Bob').selectOption('viewer')
    await bobPage.getByText('Viewer').waitFor()
    await bobPage.getByLabel('New list').waitFor({ state: 'detached' })
    await annPage.getByLabel('New list').fill('To buy')
    await annPage.keyboard.press('Enter')
    await bobPage.getByRole('link', { name: /To buy/ }).waitFor()
    // The page of the new list opens after the request, perhaps later than Bob sees the list.
    await untilScreen(annPage, 'To buy')
    await annPage.goBack()

    await annPage.getByRole('button', { name: 'Project actions' }).click()
    await annPage.getByRole('menuitem', { name: 'Rename' }).click()
    await annPage.getByLabel('Name', { exact: true }).fill('Winter fair')
    await annPage.keyboard.press('Enter')
    await untilScreen(bobPage, 'Winter fair')

    await annPage.getByRole('button', { name: 'Actions for Bob' }).click()
    await annPage.getByRole('menuitem', { name: 'Remove from project' }).click()
    await annPage.getByRole('button', { name: 'Remove', exact: true }).click()
    await untilToast(bobPage, 'You were removed from “Winter fair”.')
    await bobPage.getByText('You are not a member of this project any more').waitFor()
    await bobPage.getByRole('link', { name: 'Projects', exact: true }).click()
    await bobPage.getByText('No projects yet').waitFor()
    t.equal(loads(), 0)
  })

  testPages(t, 'mistakes are explained at the field', service, async (t, setup) => {
    setup.expect(/(?:404 \(Not Found\)|409 \(Conflict\)) \(\S+\/members\S*$/)
    const ann = await createUser(app, 'Ann')
    const projectId = await createProject(ann, 'Summer fair')
    const { page } = await openAs(setup, browser, ann, { hash: `#/projects/${projectId}` })
    await untilScreen(page, 'Summer fair')
    const email = page.getByLabel('Add a person by email')
    await email.fill('nobody@example.com')
    await page.keyboard.press('Enter')
    await page.getByText('There is no account with this email.').waitFor()
    t.equal(await email.evaluate(input => input === document.activeElement), true)
    await email.fill(ann.email)
    await page.keyboard.press('Enter')
    await page.getByText('This person is a member already.').waitFor()

    await page.getByLabel('Role of Ann').selectOption('viewer')
    await untilToast(page, 'A project needs an owner')
    t.equal(await page.getByLabel('Role of Ann').inputValue(), 'owner')
    await page.getByRole('button', { name: 'Project actions' }).click()
    await page.getByRole('menuitem', { name: 'Leave project' }).click()
    await page.getByRole('button', { name: 'Leave project' }).click()
    await page.getByRole('dialog').getByText('A project needs an owner').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  })

  testPages(t, 'a project is shared by keyboard alone', service, async (t, setup) => {
    const [ann, bob] = [await createUser(app, 'Ann'), await createUser(app, 'Bob')]
    const { page } = await openAs(setup, browser, ann)
    await page.getByText('No projects yet').waitFor()
    const { keyboard } = page
    const focused = () =>
      page.evaluate(() => {
        const { activeElement: element } = document
        return element?.getAttribute('aria-label') ?? element?.textContent?.trim()
      })
    await tabUntil('New project')
    await keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await keyboard.type('Summer fair')
    await keyboard.press('Enter')
    await untilScreen(page, 'Summer fair')
    t.equal(await focused(), 'Summer fair')

    await tabUntil('Project actions')
    await keyboard.press('ArrowDown')
    await page.getByRole('menu').waitFor()
    t.equal(await focused(), 'Rename')
    await keyboard.press('d')
    t.equal(await focused(), 'Delete project')
    await keyboard.press('Home')
    await keyboard.press('ArrowUp')
    t.equal(await focused(), 'Delete project')
    await keyboard.press('Escape')
    t.equal(await focused(), 'Project actions')

    await page.getByLabel('Add a person by email').focus()
    await keyboard.type(bob.email)
    await keyboard.press('Tab')
    await keyboard.press('v')
    await keyboard.press('Tab')
    await keyboard.press('Enter')
    await page.getByText(bob.email).waitFor()
    t.equal(await page.getByLabel('Role of Bob').inputValue(), 'viewer')

    async function tabUntil(name: string) {
      for (let n = 0; n < 20 && (await focused()) !== name; n++) await keyboard.press('Tab')
      t.equal(await focused(), name)
    }
  })

  testPages(t, 'changes of others do not move the focus', service, async (t, setup) => {
    const [ann, bob] = [await createUser(app, 'Ann'), await createUser(app, 'Bob')]
    const projectId = await createProject(ann, 'Summer fair')
    await addMember(ann, projectId, bob, 'owner')
    const { page } = await openAs(setup, browser, bob, { hash: `#/projects/${projectId}` })
    await untilScreen(page, 'Summer fair')
    const field = page.getByLabel('New list')
    await field.fill('Half a ti')
    await createChecklist(ann, projectId, 'To buy')
    await ann.request('PATCH', `/projects/${projectId}`, { name: 'Winter fair' })
    await createProject(ann)
    await page.getByRole('link', { name: /To buy/ }).waitFor()
    await untilScreen(page, 'Winter fair')
    t.equal(await field.evaluate(input => input === document.activeElement), true)
    t.equal(await field.inputValue(), 'Half a ti')
  })

  testPages(t, 'projects that are not known are explained', service, async (_t, setup) => {
    const { page } = await openAs(setup, browser, await createUser(app), {
      hash: `#/projects/${crypto.randomUUID()}`
    })
    await page.getByText('This project does not exist, or you are not a member').waitFor()
    await page.evaluate(() => {
      location.hash = '#/nowhere/at/all'
    })
    await untilScreen(page, 'There is no such page')
  })

  testPages(
    t,
    'a phone shows every screen without scrolling sideways',
    service,
    async (t, setup) => {
      const ann = await createUser(app, 'Ann')
      const name = 'A very long name of a project that needs more than one line on a phone'
      const projectId = await createProject(ann, name)
      const listId = await createChecklist(ann, projectId)
      await addMember(ann, projectId, await createUser(app, 'Maximiliane von Habsburg-Lothringen'))
      const { page } = await openAs(setup, browser, ann, {
        viewport: { width: 360, height: 740 },
        hasTouch: true,
        isMobile: true
      })
      for (const hash of ['#/', `#/projects/${projectId}`, `#/lists/${listId}`, '#/account']) {
        await page.evaluate(hash => {
          location.hash = hash
        }, hash)
        await page.locator('h1').waitFor()
        await untilState(page, 'Saved')
        const [width, inner] = await page.evaluate(() => [
          document.documentElement.scrollWidth,
          innerWidth
        ])
        t.ok((width ?? 0) <= (inner ?? 0), `${hash} is ${width} px wide`)
      }
    }
  )
})

/** Returns a function that returns how often the page has been loaded since now. */
function countLoads(page: { on(event: 'load', run: () => void): unknown }) {
  let loads = 0
  page.on('load', () => {
    loads++
  })
  return () => loads
}
