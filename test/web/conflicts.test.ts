import { randomUUID } from 'node:crypto'
import type { Page } from 'playwright-core'
import t from 'tap'
import { launch, skip } from '../support/chromium.ts'
import {
  addLines,
  type ListPages,
  lineOf,
  rewrite,
  startListPages,
  testList,
  textField,
  textsOf,
  untilSaved,
  untilTexts
} from '../support/list-page.ts'
import { addMember } from '../support/projects.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'

t.test('conflicts in Chromium', { skip }, async t => {
  const pages = await startListPages(t, await launch(t))
  const { app, ann, bob, annPage, bobPage } = pages

  testList(t, 'both users see a conflict with names, and one decides', pages, async (t, pages) => {
    await pages.openShared()
    await openConflict(pages)
    const annQuestion = question(annPage, 'You and Bob changed this line at the same time.')
    const bobQuestion = question(bobPage, 'You and Ann changed this line at the same time.')
    await annQuestion.waitFor()
    await bobQuestion.waitFor()
    t.strictSame(await versionsOf(annQuestion), [
      'Before: Book the band',
      'You: Book the jazz band',
      'Bob: Book a DJ'
    ])
    t.strictSame(await versionsOf(bobQuestion), [
      'Before: Book the band',
      'You: Book a DJ',
      'Ann: Book the jazz band'
    ])
    await annQuestion.locator('time').nth(1).waitFor()
    t.strictSame(await annQuestion.locator('ins').allTextContents(), ['added jazz ', 'added a DJ'])
    await annPage.getByText('1 to decide').waitFor()

    await bobQuestion.getByRole('button', { name: 'Use mine' }).click()
    await untilTexts(annPage, 'Book a DJ')
    await annQuestion.waitFor({ state: 'detached' })
    await bobPage.getByText('to decide').waitFor({ state: 'detached' })
    t.equal(await focusedLabel(bobPage), 'Book a DJ')
  })

  testList(t, 'the other text, both texts or a new one can be kept', pages, async (_t, pages) => {
    await pages.openShared()
    await openConflict(pages)
    await question(bobPage, 'You and Ann').getByRole('button', { name: 'Keep Ann’s' }).click()
    await untilTexts(annPage, 'Book the jazz band')
    await rewriteBoth(pages, 'Book the jazz band', 'Book the band')

    await openConflict(pages, false)
    await question(annPage, 'You and Bob').getByRole('button', { name: 'Keep both' }).click()
    await annPage.getByText('to decide').waitFor({ state: 'detached' })
    await untilSaved(annPage)
    await until(async () => `${(await textsOf(bobPage)).sort()}` === 'Book a DJ,Book the jazz band')
  })

  testList(t, 'a conflict is decided with the keyboard', pages, async (t, pages) => {
    await pages.openShared()
    await openConflict(pages)
    await annPage.locator('h1').focus()
    await annPage.keyboard.press('n')
    t.match(await focusedId(annPage), /^conflict-/)
    await annPage.keyboard.press('1')
    await untilTexts(bobPage, 'Book the jazz band')
    t.equal(await focusedLabel(annPage), 'Book the jazz band')
    await rewriteBoth(pages, 'Book the jazz band', 'Book the band')

    await openConflict(pages, false)
    await bobPage.getByRole('button', { name: 'Next question' }).click()
    await bobPage.keyboard.press('Tab')
    await question(bobPage, 'You and Ann').getByRole('button', { name: 'Write anew…' }).focus()
    await bobPage.keyboard.press('Enter')
    await bobPage.keyboard.type('Book jazz and a DJ')
    await bobPage.keyboard.press('Enter')
    await untilTexts(annPage, 'Book jazz and a DJ')
  })

  testList(
    t,
    'a deleted line that was edited is a question of its own',
    pages,
    async (_t, pages) => {
      await pages.openShared()
      await addLines(annPage, 'Candles', 'Balloons')
      await untilTexts(bobPage, 'Candles', 'Balloons')
      await untilSaved(annPage)
      pages.disconnect()
      await offline(annPage, bobPage)
      await rewrite(annPage, 'Candles', '12 candles')
      await rewrite(annPage, 'Balloons', 'Red balloons')
      for (const line of ['Candles', 'Balloons'])
        await (await lineOf(bobPage, line)).getByRole('checkbox').press('Delete')
      await pages.reconnect()

      const sentence = 'Bob deleted this line. You changed it to “12 candles” meanwhile.'
      await question(annPage, sentence).getByRole('button', { name: 'Keep it' }).click()
      // When this question disappears, the other one moves. A click at that moment would miss it.
      await question(
        bobPage,
        'You deleted this line. Ann changed it to “12 candles” meanwhile.'
      ).waitFor({
        state: 'detached'
      })
      await question(bobPage, 'You deleted this line. Ann changed it to “Red balloons” meanwhile.')
        .getByRole('button', { name: 'Delete it' })
        .click()
      await untilTexts(annPage, '12 candles')
      await untilTexts(bobPage, '12 candles')
      await annPage.getByText('to decide').waitFor({ state: 'detached' })
    }
  )

  testList(t, 'a merge leaves a note, and can be taken back', pages, async (t, pages) => {
    await pages.openShared('editor', 'Things to buy for the fair')
    await addLines(annPage, 'Order chairs for the tables')
    await untilTexts(bobPage, 'Order chairs for the tables')
    await apart(pages, async () => {
      await rewrite(annPage, 'Order chairs for the tables', 'Order chairs for the tables by Friday')
      await rewrite(bobPage, 'Order chairs for the tables', 'Order white chairs for the tables')
    })
    const merged = 'Order white chairs for the tables by Friday'
    await untilTexts(annPage, merged)
    await untilTexts(bobPage, merged)
    const [page, other, own] = (await annPage.getByText('Combined with Bob’s change').count())
      ? ([annPage, 'white', 'by Friday'] as const)
      : ([bobPage, 'by Friday', 'white'] as const)
    await page.getByText(/Combined with (Ann|Bob)’s change/).waitFor()
    await page.getByRole('button', { name: 'See' }).click()
    t.match(await page.locator('.merge-text .by-me').first().innerText(), own)
    t.match(await page.locator('.merge-text .by-other').first().innerText(), other)
    await page.getByRole('button', { name: 'Take back' }).click()
    await untilTexts(page, merged.replace(`${own} `, '').replace(` ${own}`, ''))
    await page.getByText(/^Combined with/).waitFor({ state: 'detached' })

    await apart(pages, async () => {
      await rename(annPage, 'Things to buy for the fair on Friday')
      await rename(bobPage, 'Things to buy cheaply for the fair')
    })
    const note = (page: Page) => page.locator('.list-header .merge-note')
    const [shown, mine] = await Promise.race([
      note(annPage)
        .waitFor()
        .then(() => [annPage, 'on Friday'] as const),
      note(bobPage)
        .waitFor()
        .then(() => [bobPage, 'cheaply'] as const)
    ])
    const title = 'Things to buy cheaply for the fair on Friday'
    await shown.getByRole('heading', { name: title }).waitFor()
    await note(shown).getByRole('button', { name: 'See' }).click()
    t.match(await note(shown).locator('.by-me').first().innerText(), mine)
    await note(shown).getByRole('button', { name: 'Take back' }).click()
    await note(shown).waitFor({ state: 'detached' })
    for (const page of [annPage, bobPage])
      await page
        .getByRole('heading', { name: title.replace(` ${mine}`, ''), exact: true })
        .waitFor()
  })

  testList(t, 'typing goes on in a conflict, and others see it', pages, async (t, pages) => {
    const { listId } = await pages.openShared()
    await addLines(annPage, 'Book the band')
    await untilTexts(bobPage, 'Book the band')
    await untilSaved(annPage)
    pages.disconnect()
    await offline(annPage, bobPage)
    await (await textField(bobPage, 'Book the band')).fill('Book a DJ')
    const [item] = await app.sql<{ id: string }[]>`
      select id
      from checklist_items
      where checklist_id = ${listId}`
    const text = { from: 'Book the band', to: 'Book the jazz band' }
    const op = { opId: randomUUID(), kind: 'item.set', itemId: item?.id, set: { text } }
    await ann.request('POST', `/checklists/${listId}/ops`, { ops: [op] })
    await pages.reconnect()
    await bobPage.getByText('1 to decide').waitFor()
    t.equal(
      await bobPage.evaluate(() => (document.activeElement as HTMLInputElement).value),
      'Book a DJ'
    )
    await bobPage.keyboard.type(' tonight')
    await annPage.getByText('Bob is typing: Book a DJ tonight').waitFor()
    await until(async () => {
      const versions = await versionsOf(question(annPage, 'You and Bob'))
      return versions[2] === 'Bob: Book a DJ tonight'
    })
    await bobPage.keyboard.press('Escape')
    await untilTexts(bobPage, 'Book the jazz band')
    await annPage.getByText('Bob is typing').waitFor({ state: 'detached' })
  })

  testList(t, 'an absence is summed up', pages, async (_t, pages) => {
    const { listId } = await pages.openShared()
    await addLines(annPage, 'Book the band', 'Order chairs for the tables', 'Candles')
    await untilTexts(bobPage, 'Book the band', 'Order chairs for the tables', 'Candles')
    await untilSaved(annPage)
    pages.disconnect()
    await offline(annPage, bobPage)
    await rewrite(annPage, 'Book the band', 'Book the jazz band')
    await rewrite(annPage, 'Order chairs for the tables', 'Order chairs for the tables by Friday')
    await (await lineOf(annPage, 'Candles')).getByRole('checkbox').check()
    await addLines(annPage, 'Balloons')
    const rows = await app.sql<{ id: string; text: string; done: boolean }[]>`
      select id, text, done
      from checklist_items
      where checklist_id = ${listId}
      order by position`
    const [band, chairs, candles] = rows
    const set = (item: typeof band, to: string) => ({
      ...{ opId: randomUUID(), kind: 'item.set', itemId: item?.id },
      set: { text: { from: item?.text, to } }
    })
    const ops = [
      set(band, 'Book a DJ'),
      set(chairs, 'Order white chairs for the tables'),
      {
        ...{ opId: randomUUID(), kind: 'item.delete', itemId: candles?.id },
        seen: { text: candles?.text, done: false, dueOn: null }
      }
    ]
    await bob.request('POST', `/checklists/${listId}/ops`, { ops })
    await pages.reconnect()
    const report = annPage.getByRole('region', { name: 'While you were offline' })
    await report.getByText('4 changes sent').waitFor()
    await report.getByText('3 changes by others').waitFor()
    await report.getByText('1 combined with changes of others').waitFor()
    await report.getByText('1 needs your decision').waitFor()
    await report.getByText('1 line was deleted').waitFor()
    await annPage.getByText('The line “Candles” was deleted meanwhile.').waitFor()
    await report.getByRole('button', { name: 'Show' }).first().click()
    _t.match(await focusedId(annPage), /^conflict-/)
    await report.getByRole('button', { name: 'Close this report' }).click()
    await report.waitFor({ state: 'detached' })
  })

  testList(t, 'of two dates one is chosen, or another one', pages, async (t, pages) => {
    await pages.openShared()
    await addLines(annPage, 'Candles')
    await untilTexts(bobPage, 'Candles')
    await apart(pages, async () => {
      await setDate(annPage, 'Candles', '2030-01-02')
      await setDate(bobPage, 'Candles', '2030-03-04')
    })
    const shown = question(annPage, 'You and Bob changed the date at the same time.')
    await shown.waitFor()
    t.strictSame(await versionsOf(shown), [
      'Before: no date',
      'You: Wed 2 Jan 2030',
      'Bob: Mon 4 Mar 2030'
    ])
    await shown.getByRole('button', { name: 'Another date…' }).click()
    await shown.getByLabel('Another date').fill('2030-05-06')
    await annPage.keyboard.press('Enter')
    await bobPage.getByText('Mon 6 May 2030').waitFor()
    await bobPage.getByText('to decide').waitFor({ state: 'detached' })
  })

  testList(t, 'two titles are a question below the title', pages, async (_t, pages) => {
    await pages.openShared()
    await apart(pages, async () => {
      await rename(annPage, 'To buy today')
      await rename(bobPage, 'To buy tomorrow')
    })
    const shown = question(annPage, 'You and Bob changed the title at the same time.')
    await shown.getByRole('button', { name: 'Keep Bob’s' }).click()
    await annPage.getByRole('heading', { name: 'To buy tomorrow' }).waitFor()
    await bobPage.getByRole('heading', { name: 'To buy tomorrow' }).waitFor()
    await bobPage.getByText('to decide').waitFor({ state: 'detached' })
  })

  testList(t, 'three users type at once, and the third can decide', pages, async (_t, pages) => {
    const { projectId, listId } = await pages.openShared()
    const cy = await createUser(app, 'Cy')
    await addMember(ann, projectId, cy)
    const cyPage = await pages.openDevice(cy)
    await pages.open(cyPage, listId)
    const all = [annPage, bobPage, cyPage]
    await Promise.all(all.map((page, n) => addLines(page, `One of ${n}`, `Two of ${n}`)))
    await until(async () => {
      const [first, ...others] = await Promise.all(all.map(page => textsOf(page)))
      return first?.length === 6 && others.every(other => `${other}` === `${first}`)
    })
    await app.sql`delete from checklist_items where checklist_id = ${listId}`
    await untilTexts(annPage)

    await openConflict(pages)
    const shown = question(cyPage, /^(Ann and Bob|Bob and Ann) changed this line/)
    await shown.getByRole('button', { name: 'Keep Bob’s' }).waitFor()
    // Not a click: what others do may move the button under the mouse at that moment.
    await shown.getByRole('button', { name: 'Keep Ann’s' }).press('Enter')
    await untilTexts(annPage, 'Book the jazz band')
    await untilTexts(bobPage, 'Book the jazz band')
  })
})

/** Lets both users change "Book the band" without a network, so that their texts conflict. */
async function openConflict(pages: ListPages, isNew = true) {
  const { annPage, bobPage } = pages
  if (isNew) await addLines(annPage, 'Book the band')
  await untilTexts(bobPage, 'Book the band')
  await apart(pages, async () => {
    await rewrite(annPage, 'Book the band', 'Book the jazz band')
    await rewrite(bobPage, 'Book the band', 'Book a DJ')
  })
  await Promise.all([annPage, bobPage].map(page => page.getByText('1 to decide').waitFor()))
}

/** Makes edits while both users have no network, and waits until the network is back. */
async function apart(pages: ListPages, edit: () => Promise<void>) {
  await untilSaved(pages.annPage)
  pages.disconnect()
  await offline(pages.annPage, pages.bobPage)
  await edit()
  await pages.reconnect()
}

async function rewriteBoth({ annPage, bobPage }: ListPages, line: string, text: string) {
  await untilTexts(bobPage, line)
  await rewrite(annPage, line, text)
  await untilTexts(bobPage, text)
}

async function offline(...pages: Page[]) {
  await Promise.all(pages.map(page => page.locator('.pill.offline').waitFor()))
}

function question(page: Page, text: string | RegExp) {
  return page.getByRole('group', { name: text })
}

/** Returns the values that a question shows, without times and without the words for screen readers. */
function versionsOf(shown: ReturnType<typeof question>) {
  return shown.locator('.version').evaluateAll(all =>
    all.map(one => {
      const copy = one.cloneNode(true) as Element
      for (const extra of copy.querySelectorAll('.visually-hidden, time')) extra.remove()
      const [who = '', text = ''] = ['dt', 'dd'].map(tag => copy.querySelector(tag)?.textContent)
      return `${who.replace(/, $/, '')}: ${text}`
    })
  )
}

function focusedLabel(page: Page) {
  return page.evaluate(() => document.activeElement?.getAttribute('aria-label'))
}

function focusedId(page: Page) {
  return page.evaluate(() => document.activeElement?.id ?? '')
}

async function setDate(page: Page, line: string, day: string) {
  await (await lineOf(page, line)).getByRole('checkbox').press('d')
  await page.getByRole('textbox', { name: 'Due date' }).fill(day)
  await page.keyboard.press('Enter')
}

async function rename(page: Page, title: string) {
  await page.getByRole('button', { name: 'Rename this list' }).click()
  await page.getByRole('textbox', { name: 'Title of the list' }).fill(title)
  await page.keyboard.press('Enter')
}
