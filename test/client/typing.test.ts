import t from 'tap'
import { until } from '../support/until.ts'
import { lineAt, open, shows, startChecklist } from './checklist-setup.ts'

const typed = ['a', 'an', 'and', 'and ', 'and t', 'and ta', 'and tables'].map(
  word => `Order chairs ${word}`
)

t.test('typing on does not remove the words that another user adds meanwhile', async t => {
  const { client: start, list } = await startChecklist(t)
  const [id] = (await list.addItems('Order chairs')) as [string]
  const { client, checklist } = await start()
  await open(t, client, checklist)
  let before = 'Order chairs'
  for (const [n, text] of typed.entries()) {
    if (n === 2) {
      const set = { text: { from: 'Order chairs', to: 'Please order chairs' } }
      t.match(await list.apply({ kind: 'item.set', itemId: id, set }), { outcome: 'merged' })
      await shows(checklist, ({ items }) => items[0]?.text.startsWith('Please'))
    }
    const { settled } = checklist.set(id, { text }, { text: before })
    before = text
    if (n % 2) await settled
  }
  await until(async () => (await list.texts())[0] === 'Please order chairs and tables')
  await shows(checklist, ({ items }) => items[0]?.text === 'Please order chairs and tables')

  while (checklist.status.get().canUndo) checklist.undo()
  t.equal(lineAt(checklist, 0).text, 'Please order chairs', 'undo removes no word of others')
})

t.test('typing while offline is one edit, merged with the words of others', async t => {
  const { client: start, list, proxy } = await startChecklist(t)
  const [id] = (await list.addItems('Order chairs')) as [string]
  const { client, checklist } = await start()
  await open(t, client, checklist)
  await proxy.close()
  let before = 'Order chairs'
  for (const text of typed) {
    checklist.set(id, { text }, { text: before })
    before = text
  }
  t.match(checklist.unsent(), [{ set: { text: { from: 'Order chairs', to: before } } }])
  const set = { text: { from: 'Order chairs', to: 'Please order chairs' } }
  await list.apply({ kind: 'item.set', itemId: id, set })
  await proxy.reopen()
  await until(async () => (await list.texts())[0] === 'Please order chairs and tables')
})

t.test('a title that changes while the user types is merged too', async t => {
  const { client: start, list } = await startChecklist(t)
  const { client, checklist } = await start()
  const { title } = await open(t, client, checklist)
  await list.apply({ kind: 'list.rename', from: title, to: `Our ${title}` })
  await shows(checklist, view => view.title === `Our ${title}`)
  const { settled } = checklist.rename(`${title} today`, title)
  t.match(await settled, { outcome: 'merged', value: `Our ${title} today` })
})
