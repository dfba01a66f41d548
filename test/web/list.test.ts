import type { Locator, Page } from 'playwright-core'
import t from 'tap'
import { launch, skip } from '../support/chromium.ts'
import {
  addLines,
  choose,
  lineOf,
  startListPages,
  testList,
  textField,
  textsOf,
  untilSaved,
  untilTexts
} from '../support/list-page.ts'
import { addMember } from '../support/projects.ts'
import { until } from '../support/until.ts'

t.test('a checklist in Chromium', { skip }, async t => {
  const service = await startListPages(t, await launch(t))
  const { app, ann, bob, annPage, bobPage } = service

  testList(
    t,
    'two people see each other and each keystroke',
    service,
    async (_t, { openShared }) => {
      await openShared()
      await annPage.getByRole('img', { name: 'Bob is here' }).waitFor()
      await bobPage.getByRole('img', { name: 'Ann is here' }).waitFor()

      await addLines(annPage, 'Oat milk', 'Rye bread')
      await untilTexts(bobPage, 'Oat milk', 'Rye bread')
      await (await lineOf(bobPage, 'Rye bread')).getByText('Changed by Ann').waitFor()

      const field = await textField(bobPage, 'Rye bread')
      await field.click()
      await (await lineOf(annPage, 'Rye bread')).getByText('Bob is editing this line').waitFor()
      await bobPage.keyboard.press('End')
      await bobPage.keyboard.type(', sliced')
      await untilTexts(annPage, 'Oat milk', 'Rye bread, sliced')
      await bobPage.keyboard.press('Escape')
      await annPage.getByText('Bob is editing this line').waitFor({ state: 'detached' })

      await (await lineOf(annPage, 'Oat milk')).getByRole('checkbox').check()
      await (await lineOf(bobPage, 'Oat milk')).locator('input:checked').waitFor()
    }
  )

  testList(
    t,
    'a text keeps its caret while others change it',
    service,
    async (t, { openShared }) => {
      await openShared()
      await addLines(annPage, 'Order chairs')
      await untilTexts(bobPage, 'Order chairs')

      const field = await textField(annPage, 'Order chairs')
      await field.click()
      await annPage.keyboard.press('End')
      await annPage.keyboard.type(' by')
      await type(bobPage, 'Order chairs by', 'ArrowRight', 6, '12 ')
      await untilTexts(annPage, 'Order 12 chairs by')
      t.strictSame(await caretOf(annPage), ['Order 12 chairs by', 18])

      await annPage.keyboard.type(' Friday')
      await untilTexts(bobPage, 'Order 12 chairs by Friday')
      t.strictSame(await caretOf(annPage), ['Order 12 chairs by Friday', 25])

      // Lines above, and a move of the line itself, leave the focus where it is.
      await addLines(bobPage, 'Candles', 'Balloons')
      const moved = await lineOf(bobPage, 'Order 12 chairs by Friday')
      await moved.getByRole('checkbox').focus()
      await bobPage.keyboard.press('Alt+ArrowDown')
      await untilTexts(annPage, 'Candles', 'Order 12 chairs by Friday', 'Balloons')
      await annPage.keyboard.type(' noon')
      await untilTexts(bobPage, 'Candles', 'Order 12 chairs by Friday noon', 'Balloons')
      t.strictSame(await caretOf(annPage), ['Order 12 chairs by Friday noon', 30])
    }
  )

  testList(
    t,
    'a line that another user deletes stays while it is edited',
    service,
    async (t, { openShared }) => {
      await openShared()
      await addLines(annPage, 'Candles', 'Balloons')
      await untilTexts(bobPage, 'Candles', 'Balloons')
      await (await textField(annPage, 'Candles')).click()
      await annPage.keyboard.press('End')
      await (await lineOf(bobPage, 'Candles')).getByRole('checkbox').focus()
      await bobPage.keyboard.press('Delete')
      await annPage.getByText('This line was deleted meanwhile').waitFor()
      t.strictSame(await caretOf(annPage), ['Candles', 7])
      await annPage.keyboard.type(', red')
      await untilTexts(bobPage, 'Candles, red', 'Balloons')
      await annPage.getByText('This line was deleted meanwhile').waitFor({ state: 'detached' })

      // An empty line stays below the place of a deleted one.
      await annPage.keyboard.press('Enter')
      await (await lineOf(bobPage, 'Candles, red')).getByRole('checkbox').press('Delete')
      await untilTexts(annPage, 'Balloons')
      await annPage.keyboard.type('Flowers')
      await untilTexts(bobPage, 'Flowers', 'Balloons')

      // The focus stays at the place of a deleted line.
      await annPage.keyboard.press('Escape')
      await (await lineOf(bobPage, 'Flowers')).getByRole('checkbox').press('Delete')
      await untilTexts(annPage, 'Balloons')
      await until(async () => (await focusedName(annPage)) === 'Balloons')
    }
  )

  testList(
    t,
    'the whole list is edited with the keyboard alone',
    service,
    async (t, { openShared }) => {
      const page = annPage
      await openShared()
      const { keyboard } = page
      await page.locator('h1').focus()
      await pressUntil(page, 'Tab', 'Add a line')
      await keyboard.type('Milk')
      await keyboard.press('Enter')
      await keyboard.type('Tea')
      await keyboard.press('Enter')
      await keyboard.press('ArrowUp')
      await keyboard.press('ArrowUp')
      await keyboard.press('Enter')
      await keyboard.type('Bread')
      await untilTexts(page, 'Milk', 'Bread', 'Tea')
      await keyboard.press('Escape')
      t.equal(await focusedName(page), 'Bread')
      await keyboard.press('Space')
      t.equal(await page.locator('input:checked').getAttribute('aria-label'), 'Bread')
      await keyboard.press('Alt+ArrowUp')
      await untilTexts(page, 'Bread', 'Milk', 'Tea')
      t.equal(await focusedName(page), 'Bread')
      await keyboard.press('ArrowDown')
      await keyboard.press('ArrowDown')
      await keyboard.press('Enter')
      for (const _ of 'Tea') await keyboard.press('Backspace')
      await keyboard.press('Backspace')
      await untilTexts(page, 'Bread', 'Milk')
      t.strictSame(await caretOf(page), ['Milk', 4])
      await keyboard.press('Control+z')
      await untilTexts(page, 'Bread', 'Milk', 'T')
      await keyboard.press('Control+z')
      await untilTexts(page, 'Bread', 'Milk', 'Tea')
      await keyboard.press('Control+Shift+z')
      await untilTexts(page, 'Bread', 'Milk', 'T')
      await keyboard.press('Escape')
      await keyboard.press('d')
      await page.getByRole('textbox', { name: 'Due date' }).fill('2030-01-02')
      await keyboard.press('Enter')
      await (await lineOf(page, 'Milk')).getByText('Wed 2 Jan 2030').waitFor()
      t.equal(await focusedName(page), 'Milk')
      await keyboard.press('Delete')
      await untilTexts(page, 'Bread', 'T')
      await keyboard.press('?')
      await page.getByRole('dialog', { name: 'Keyboard' }).waitFor()
      await keyboard.press('Escape')
      await page.getByRole('dialog').waitFor({ state: 'detached' })
      t.equal(await focusedName(page), 'T')
      await keyboard.press('h')
      await page.getByRole('dialog', { name: 'History of “T”' }).waitFor()
      await keyboard.press('Escape')
      await untilSaved(page)
    }
  )

  testList(t, '200 pasted lines are added at once', service, async (t, { openShared }) => {
    await openShared()
    await addLines(annPage, 'First', 'Last')
    await (await textField(annPage, 'First')).click()
    const lines = Array.from({ length: 200 }, (_, n) => `Pasted ${n + 1}`)
    await paste(annPage, lines.map(line => `- [ ] ${line}`).join('\n'))
    await untilTexts(bobPage, 'First', ...lines, 'Last')
    t.strictSame(await caretOf(annPage), ['Pasted 200', 10])
    // The keys work without a focus, too.
    await annPage.evaluate(() => (document.activeElement as HTMLElement).blur())
    await annPage.keyboard.press('Control+z')
    await untilTexts(bobPage, 'First', 'Last')
  })

  testList(
    t,
    'lines are moved by dragging and by the menu',
    service,
    async (_t, { openShared }) => {
      const page = annPage
      await openShared()
      await addLines(page, 'One', 'Two', 'Three', 'Four')
      const grip = (await lineOf(page, 'One')).locator('.grip')
      await grip.dragTo(await lineOf(page, 'Three'), { targetPosition: { x: 200, y: 40 } })
      await untilTexts(page, 'Two', 'Three', 'One', 'Four')
      await (await lineOf(page, 'Four')).locator('.grip').dragTo(await lineOf(page, 'Two'), {
        targetPosition: { x: 200, y: 4 }
      })
      await untilTexts(page, 'Four', 'Two', 'Three', 'One')
      await (await lineOf(page, 'Four')).locator('.grip').dragTo(page.locator('.line.is-empty'))
      await untilTexts(page, 'Two', 'Three', 'One', 'Four')
      await choose(page, 'One', 'Move to top')
      await untilTexts(page, 'One', 'Two', 'Three', 'Four')
      await choose(page, 'Two', 'Move down')
      await untilTexts(page, 'One', 'Three', 'Two', 'Four')
      await choose(page, 'Two', 'Delete')
      await untilTexts(page, 'One', 'Three', 'Four')
      await page.getByRole('region', { name: 'Messages' }).getByText('Undo').click()
      await untilTexts(page, 'One', 'Three', 'Two', 'Four')
      await untilSaved(page)
    }
  )

  testList(
    t,
    'offline edits survive a reload while the service is down',
    service,
    async (t, setup) => {
      await setup.openShared()
      await addLines(annPage, 'Before')
      await untilTexts(bobPage, 'Before')
      await annPage.evaluate(() => navigator.serviceWorker.ready.then(() => {}))
      await annPage.context().grantPermissions(['local-network-access'])
      await untilSaved(annPage)

      setup.disconnect()
      await annPage.locator('.pill.offline').waitFor()
      await addLines(annPage, 'Offline one', 'Offline two')
      await (await lineOf(annPage, 'Before')).getByRole('checkbox').check()
      await annPage.getByText('Offline, 3 waiting on this device').waitFor()
      await annPage.getByLabel('Waiting on this device').nth(2).waitFor()

      await annPage.reload()
      await untilTexts(annPage, 'Before', 'Offline one', 'Offline two')
      await annPage.getByText('Offline, 3 waiting on this device').waitFor()
      t.equal(await annPage.locator('.line input:checked').count(), 1)

      await setup.reconnect()
      await untilSaved(annPage)
      await untilTexts(bobPage, 'Before', 'Offline one', 'Offline two')
    }
  )

  testList(
    t,
    'a tab that is killed while typing loses nothing stored',
    service,
    async (t, setup) => {
      const { listId } = await setup.createList()
      const page = await setup.openDevice(ann)
      await setup.open(page, listId)
      setup.disconnect()
      await page.locator('.pill.offline').waitFor()
      await page.getByRole('textbox', { name: 'Add a line' }).click()
      await page.keyboard.type('Call the ban')
      await page.getByText('Offline, 1 waiting').waitFor()
      await untilStored(page, 'Call the ban')
      await Promise.all([page.waitForEvent('crash'), page.goto('chrome://crash').catch(() => {})])

      await setup.reconnect()
      const again = await setup.openTab(page.context())
      await setup.open(again, listId)
      await untilTexts(again, 'Call the ban')
      await untilSaved(again)
      const [row] = await app.sql`select text from checklist_items where checklist_id = ${listId}`
      t.equal(row?.text, 'Call the ban')
    }
  )

  testList(t, 'a removed member can copy what was not sent', service, async (t, setup) => {
    const { projectId } = await setup.openShared()
    await addLines(annPage, 'Milk')
    await untilTexts(bobPage, 'Milk')
    setup.disconnect()
    await bobPage.locator('.pill.offline').waitFor()
    await addLines(bobPage, 'Tea', 'Oats')
    await ann.request('DELETE', `/projects/${projectId}/members/${bob.id}`)
    await bobPage.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    // At the reconnect, the members of the project are requested before the page knows of the removal.
    setup.expect(/404 \(Not Found\) \(\S+\/members\)$/)
    await setup.reconnect()

    await bobPage.locator('.notice', { hasText: 'You were removed from Summer fair.' }).waitFor()
    await bobPage.getByText('2 changes of yours were not sent.').waitFor()
    await bobPage.locator('.pill', { hasText: '2 not sent' }).waitFor()
    await bobPage.getByRole('button', { name: 'Copy my unsent changes' }).click()
    await bobPage.getByRole('button', { name: 'Copied' }).waitFor()
    t.equal(await bobPage.evaluate(() => navigator.clipboard.readText()), 'Add: Tea\nAdd: Oats')
    t.equal(await bobPage.getByRole('textbox', { name: 'Add a line' }).count(), 0)

    await addMember(ann, projectId, bob)
    await untilTexts(annPage, 'Milk', 'Tea', 'Oats')
    await bobPage.locator('.notice').waitFor({ state: 'detached' })
  })

  testList(
    t,
    'a viewer reads, and a deleted list can be restored',
    service,
    async (t, { openShared }) => {
      await openShared('viewer')
      await addLines(annPage, 'Milk')
      await untilTexts(bobPage, 'Milk')
      await bobPage.getByText('You can read this list, but not change it.').waitFor()
      t.equal(await bobPage.getByRole('textbox', { name: 'Text of the line' }).isEditable(), false)

      await annPage.getByRole('button', { name: 'Actions for this list' }).click()
      await annPage.getByRole('menuitem', { name: 'Delete this list' }).click()
      await annPage.getByText('This list was deleted.').waitFor()
      await bobPage.getByText('This list was deleted.').waitFor()
      await annPage.getByRole('button', { name: 'Restore it' }).click()
      await bobPage.getByText('You can read this list').waitFor()
      await untilTexts(annPage, 'Milk')
    }
  )

  testList(
    t,
    'the title is renamed, and follows for others',
    service,
    async (t, { openShared }) => {
      await openShared()
      await annPage.getByRole('button', { name: 'Rename this list' }).click()
      await annPage.getByRole('textbox', { name: 'Title of the list' }).fill('To buy on Friday')
      await bobPage.getByText('Ann is changing the title').waitFor()
      await annPage.keyboard.press('Enter')
      await bobPage.getByRole('heading', { name: 'To buy on Friday' }).waitFor()
      await until(async () => (await bobPage.title()).startsWith('To buy on Friday'))
      t.ok(true)
    }
  )

  testList(t, 'a phone shows all within its width, and drags lines', service, async (t, setup) => {
    const title = 'A long title for the summer fair of our street'
    const { listId } = await setup.createList('editor', title)
    const viewport = { width: 390, height: 844 }
    const page = await setup.openDevice(ann, { viewport, hasTouch: true, isMobile: true })
    await setup.open(page, listId)
    await page.getByRole('textbox', { name: 'Add a line' }).tap()
    await page.keyboard.type('Order twelve white chairs for the tables in the garden by Friday')
    await page.keyboard.press('Enter')
    await page.keyboard.type(
      'https://example.com/a-very-long-address-without-any-blank-in-it/at-all'
    )
    await page.getByLabel('Actions for Order').tap()
    await page.getByRole('menuitem', { name: 'Due date' }).tap()
    await page.getByRole('textbox', { name: 'Due date' }).fill('2030-01-02')
    await page.keyboard.press('Enter')
    await page.getByText('Wed 2 Jan 2030').waitFor()
    t.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390)
    const boxes = await page
      .locator('.line .tick')
      .evaluateAll(all =>
        all
          .map(one => one.getBoundingClientRect())
          .map(({ width, height }) => Math.min(width, height))
      )
    t.ok(
      boxes.every(size => size >= 44),
      'targets are large enough for a finger'
    )
    await untilSaved(page)

    const [chairs = '', address = ''] = await textsOf(page)
    const touch = await touchScreen(page)
    const gripOf = async (text: string) => (await lineOf(page, text)).locator('.grip')
    const below = await (await lineOf(page, address)).boundingBox()
    await touch.start(await gripOf(chairs))
    await touch.move((below?.y ?? 0) + (below?.height ?? 0) - 4)
    await page.locator('.line[data-drop="below"]').waitFor()
    await touch.end()
    await untilTexts(page, address, chairs)
    await (await lineOf(page, chairs)).locator('.tick').tap()
    await (await lineOf(page, chairs)).locator('input:checked').waitFor()

    await page.getByRole('textbox', { name: 'Add a line' }).focus()
    const more = Array.from({ length: 30 }, (_, n) => `Line ${n}`)
    await paste(page, more.join('\n'))
    await untilTexts(page, address, chairs, ...more)
    await page.evaluate(() => scrollTo(0, 0))
    await touch.start(await gripOf(chairs))
    await touch.move(viewport.height - 2)
    await page.waitForFunction(
      () => scrollY + innerHeight >= document.documentElement.scrollHeight - 1
    )
    await page.locator('.line.is-empty[data-drop]').waitFor()
    await touch.end()
    await untilTexts(page, address, ...more, chairs)
    await untilSaved(page)
  })
})

/** Types a text into a line after moving the caret. */
async function type(page: Page, line: string, key: string, times: number, text: string) {
  await (await textField(page, line)).click()
  await page.keyboard.press('Home')
  for (let n = 0; n < times; n++) await page.keyboard.press(key)
  await page.keyboard.type(text)
}

/** Returns functions that touch a page with one finger, which moves up and down. */
async function touchScreen(page: Page) {
  const devTools = await page.context().newCDPSession(page)
  let x = 0
  const send = (type: 'touchStart' | 'touchMove' | 'touchEnd', y?: number) =>
    devTools.send('Input.dispatchTouchEvent', {
      type,
      touchPoints: y === undefined ? [] : [{ x, y }]
    })
  return {
    async start(target: Locator) {
      const box = await target.boundingBox()
      x = (box?.x ?? 0) + (box?.width ?? 0) / 2
      await send('touchStart', (box?.y ?? 0) + (box?.height ?? 0) / 2)
    },
    move: (y: number) => send('touchMove', y),
    end: () => send('touchEnd')
  }
}

/** Returns the text and the caret of the field that has the focus. */
function caretOf(page: Page) {
  return page.evaluate(() => {
    const field = document.activeElement as HTMLTextAreaElement
    return [field.value, field.selectionStart]
  })
}

function focusedName(page: Page) {
  return page.evaluate(() => document.activeElement?.getAttribute('aria-label'))
}

async function pressUntil(page: Page, key: string, name: string) {
  for (let n = 0; n < 20 && (await focusedName(page)) !== name; n++) await page.keyboard.press(key)
}

/** Pastes a text as the clipboard does. */
async function paste(page: Page, text: string) {
  await page.evaluate(text => {
    const data = new DataTransfer()
    data.setData('text/plain', text)
    const options = { clipboardData: data, bubbles: true, cancelable: true }
    document.activeElement?.dispatchEvent(new ClipboardEvent('paste', options))
  }, text)
}

/** Waits until IndexedDB contains a text. */
async function untilStored(page: Page, text: string) {
  await until(() =>
    page.evaluate(async text => {
      for (const { name = '' } of await indexedDB.databases()) {
        const database = await new Promise<IDBDatabase>(resolve => {
          const request = indexedDB.open(name)
          request.onsuccess = () => resolve(request.result)
        })
        for (const store of database.objectStoreNames) {
          const rows = await new Promise(resolve => {
            const request = database.transaction(store).objectStore(store).getAll()
            request.onsuccess = () => resolve(request.result)
          })
          if (JSON.stringify(rows).includes(text)) return true
        }
        database.close()
      }
      return false
    }, text)
  )
}
