import t from 'tap'
import { version } from '../../client/version.ts'
import packageJson from '../../package.json' with { type: 'json' }
import { startNode } from '../support/app.ts'
import { openLive } from '../support/live-client.ts'
import { createUser } from '../support/users.ts'

t.test('the client has the version of the package', async t => {
  t.equal(version, packageJson.version)
})

t.test('a socket receives the version of the service', async t => {
  const { app, url } = await startNode(t)
  const user = await createUser(app, 'Ann')
  const socket = await openLive(t, url, user.headers)
  t.match(socket.messages[0], { type: 'welcome', version: packageJson.version })
})
