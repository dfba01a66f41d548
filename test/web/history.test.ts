import type { Page } from 'playwright-core'
import t from 'tap'
import { launch, skip } from '../support/chromium.ts'
import {
  addLines,
  choose,
  rewrite,
  startListPages,
  testList,
  untilSaved,
  untilTexts
} from '../support/list-page.ts'

t.test('histories in Chromium', { skip }, async t => {
  const pages = await startListPages(t, await launch(t))
  const { app, annPage, bobPage } = pages

  testList(t, 'the history of a line has its versions, also by SQL', pages, async (t, pages) => {
    const { listId } = await pages.openShared()
    await addLines(annPage, 'Book the band')
    await untilTexts(bobPage, 'Book the band')
    await rewrite(bobPage, 'Book the band', 'Book the jazz band')
    await untilTexts(annPage, 'Book the jazz band')
    await app.sql`
      update checklist_items set text = 'Book a jazz band' where checklist_id = ${listId}`
    await untilTexts(annPage, 'Book a jazz band')

    await choose(annPage, 'Book a jazz band', 'History')
    const history = annPage.getByRole('dialog', { name: /^History of “Book/ })
    await history.locator('.entry').nth(2).waitFor()
    t.strictSame(await entriesOf(annPage), [
      'A database change changed: Book [-the][+a] jazz band',
      'Bob changed: Book the [+jazz ]band',
      'You added: [+Book the band]'
    ])
    await history.getByRole('button', { name: 'Restore', exact: true }).first().click()
    await untilTexts(bobPage, 'Book the jazz band')
    await history.getByText('You changed').waitFor()
    t.equal((await entriesOf(annPage))[0], 'You changed: Book [-a][+the] jazz band')
    await annPage.keyboard.press('Escape')
    await history.waitFor({ state: 'detached' })
    t.equal(
      await annPage.evaluate(() => document.activeElement?.getAttribute('aria-label')),
      'Actions for Book the jazz band'
    )
  })

  testList(t, 'a line and the whole list are restored', pages, async (t, pages) => {
    await pages.openShared()
    await addLines(annPage, 'Candles', 'Balloons')
    await untilTexts(bobPage, 'Candles', 'Balloons')
    await choose(bobPage, 'Candles', 'Delete')
    await untilTexts(annPage, 'Balloons')
    await untilSaved(bobPage)

    const button = annPage.getByRole('button', { name: 'History', exact: true })
    const history = annPage.getByRole('dialog', { name: 'History of the list' })
    await button.click()
    await history.getByText('Bob deleted').waitFor()
    await history.getByRole('button', { name: 'Restore line' }).click()
    await untilTexts(bobPage, 'Candles', 'Balloons')
    await annPage.keyboard.press('Escape')

    await rewrite(annPage, 'Balloons', 'Red balloons')
    await untilTexts(bobPage, 'Candles', 'Red balloons')
    await untilSaved(annPage)
    await button.click()
    await history.getByText('created the list').waitFor()
    await history.getByRole('button', { name: 'Restore list' }).last().click()
    await untilTexts(bobPage)
    const messages = annPage.getByRole('region', { name: 'Messages' })
    await messages.getByText('The list is as it was then').waitFor()
    await messages.getByRole('button', { name: 'Undo' }).last().click()
    await untilTexts(bobPage, 'Candles', 'Red balloons')
    t.equal(await bobPage.getByRole('button', { name: 'Undo' }).count(), 2)
  })

  testList(
    t,
    'a history needs the service, and a tried again loads it',
    pages,
    async (_t, pages) => {
      await pages.openShared()
      await addLines(annPage, 'Candles')
      await untilSaved(annPage)
      pages.disconnect()
      await annPage.locator('.pill.offline').waitFor()
      await annPage.getByRole('button', { name: 'History', exact: true }).click()
      await annPage.getByText('The service cannot be reached.').waitFor()
      await pages.reconnect()
      await annPage.getByRole('button', { name: 'Try again' }).click()
      await annPage.getByText('created the list').waitFor()
      await annPage.keyboard.press('Escape')
    }
  )
})

/** Returns the entries of the open history as text, without times. */
function entriesOf(page: Page) {
  return page.locator('.entry').evaluateAll(all =>
    all.map(one => {
      const copy = one.cloneNode(true) as Element
      for (const extra of copy.querySelectorAll('.visually-hidden, time')) extra.remove()
      for (const word of copy.querySelectorAll('del')) word.textContent = `[-${word.textContent}]`
      for (const word of copy.querySelectorAll('ins')) word.textContent = `[+${word.textContent}]`
      const [head, text] = ['.entry-head', '.entry-text'].map(name => copy.querySelector(name))
      return `${head?.textContent}: ${text?.textContent}`
    })
  )
}
