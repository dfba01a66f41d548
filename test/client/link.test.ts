import t from 'tap'
import { until } from '../support/until.ts'
import { countConnections, follow, listen, startBrowser, type TestTab } from './link-setup.ts'

t.test('ten tabs share one stream and one socket', async t => {
  const { app, list, tab } = await startBrowser(t)
  const tabs: TestTab[] = []
  for (let n = 0; n < 10; n++) tabs.push(await tab())
  const followed = tabs.map(({ link }) => follow(link, list.listId))
  const events = tabs.map(({ link }) => listen(link))
  await until(() => followed.every(({ isCaughtUp }) => isCaughtUp))
  await until(() => tabs.every(({ link }) => link.state.get().state === 'live'))

  await list.addItems('Chairs', 'Tables')

  await until(() => followed.every(({ texts }) => texts().join() === 'Chairs,Tables'))
  await until(() => events.every(({ length }) => length === 2))
  t.same(await countConnections(app), [1, 1])
  t.equal(tabs.filter(({ link }) => link.isLeader.get()).length, 1)
})
