import type { Test } from 'tap'
import { memoryStorage } from '../../client/memory-storage.ts'
import type { Checklist, Client, Line, Options, View } from '../../client/types.ts'
import { startNode } from '../support/app.ts'
import { fastClock, openBrowser } from '../support/browser.ts'
import { insertChecklist } from '../support/checklists.ts'
import { insertMember } from '../support/projects.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { createUser, type User } from '../support/users.ts'
import { startClient, when } from './client-setup.ts'

/**
 * Starts the service with a checklist and two editors, Ann and Ben. `client` starts a client of Ann behind a proxy, with
 * a storage that a second call can reuse, as after a reload. `ben` starts one of Ben without the proxy.
 */
export async function startChecklist(t: Test) {
  const { app, url } = await startNode(t)
  const list = await insertChecklist(app)
  const [ann, ben] = [await createUser(app, 'Ann'), await createUser(app, 'Ben')]
  for (const { id } of [ann, ben]) await insertMember(app.sql, list.projectId, id)
  const proxy = await tcpProxy(t, url)
  const storage = memoryStorage()
  const browser = openBrowser(t)

  return {
    app,
    list,
    ann,
    ben,
    proxy,
    storage,
    client: (options: Options = {}) => start(ann, proxy.url, { storage, ...options }),
    benClient: () => start(ben, url),
    /** Opens a tab of Ann's browser. The first one signs in. */
    async tab() {
      const page = browser.openTab()
      const { tabs, clock, fetch, WebSocket } = page
      const options = { tabs, clock, fetch, WebSocket: WebSocket as never, storage }
      const client = await startClient(t, proxy.url, undefined, options)
      const { state } = await when(client.session, ({ state }) => state !== 'unknown')
      if (state === 'signed-out') await client.signIn(ann)
      return { client, checklist: client.checklist(list.listId), page }
    }
  }

  async function start(account: User, address: string, options: Options = {}) {
    const client = await startClient(t, address, account, { clock: fastClock(), ...options })
    return { client, checklist: client.checklist(list.listId) }
  }
}

/** Keeps a checklist open until the test ends, and waits until its view is complete. */
export async function open(t: Test, client: Client, checklist: Checklist): Promise<View> {
  t.teardown(checklist.subscribe(() => {}))
  const view = await checklist.ready()
  await when(checklist.status, ({ state }) => state === 'live')
  await when(client.connection, ({ state }) => state === 'live')
  return view
}

export const textsOf = (view: View | undefined) => view?.items.map(({ text }) => text) ?? []

/** Returns the line at an index, also from the end. */
export function lineAt(checklist: Checklist, index: number): Line {
  const line = checklist.get()?.items.at(index)
  if (!line) throw new Error(`no line ${index}`)
  return line
}

/** Waits until a condition holds for the view. */
export const shows = (checklist: Checklist, condition: (view: View) => unknown) =>
  when(checklist, view => view && condition(view)) as Promise<View>
