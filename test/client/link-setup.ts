import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { applyChanges, type Confirmed, fromSnapshot } from '../../client/confirmed.ts'
import { createHttp } from '../../client/http.ts'
import { createLink, type Link, type ListHandler, type OpenedList } from '../../client/link.ts'
import { writable } from '../../client/readable.ts'
import { createSessionManager } from '../../client/session.ts'
import { createLeadership } from '../../client/tabs.ts'
import type { FeedEvent, LogLine, Peer } from '../../client/types.ts'
import { startNode } from '../support/app.ts'
import { type BrowserTab, openBrowser } from '../support/browser.ts'
import { insertChecklist } from '../support/checklists.ts'
import { readMetric } from '../support/metrics.ts'
import { insertMember } from '../support/projects.ts'
import { createUser, type User } from '../support/users.ts'
import { userStorage } from './session-setup.ts'

export type TestTab = Awaited<ReturnType<typeof startTab>>

/**
 * Starts the service with a checklist, a member of it and another user, and a browser. `tab` opens a tab of the member,
 * `openAs` a tab of the owner in another browser. `address` returns the address for the clients.
 */
export async function startBrowser(
  t: Test,
  {
    env = {},
    address = async url => url
  }: { env?: NodeJS.ProcessEnv; address?: (url: string) => Promise<string> } = {}
) {
  const { app, url } = await startNode(t, env)
  const list = await insertChecklist(app)
  const user = await createUser(app)
  const colleague = await createUser(app, 'Ben')
  const outsider = await createUser(app, 'Otto')
  await insertMember(app.sql, list.projectId, user.id)
  await insertMember(app.sql, list.projectId, colleague.id)
  const browser = openBrowser(t)
  const start = { address: await address(url), user }

  return {
    app,
    url,
    list,
    user,
    outsider,
    tab: ({ isAlone = false } = {}) => startTab(t, { ...start, page: browser.openTab(), isAlone }),
    openAs: () => startTab(t, { ...start, user: colleague, page: openBrowser(t).openTab() })
  }
}

interface TabParts {
  address: string
  user: User
  page: BrowserTab
  isAlone?: boolean
}

/** Starts a link in one tab and signs in, unless another tab has done so. */
async function startTab(t: Test, { address, user, page, isAlone = false }: TabParts) {
  const { clock, fetch, WebSocket } = page
  const tabs = isAlone ? (false as const) : page.tabs
  const closed = new AbortController()
  const logs: LogLine[] = []
  const log = (line: LogLine) => logs.push(line)
  const elected = createLeadership({ tabs, name: 'concord', clock })
  const { bus } = elected
  const isLeader = writable(false)
  elected.isLeader.subscribe(isLeader.set)
  page.tabs.onHide(() => isLeader.set(false))
  const leadership = {
    ...elected,
    isLeader,
    yield() {
      isLeader.set(false)
      elected.yield()
    }
  }
  const http = createHttp({ address, fetch, clock, closed: closed.signal })
  const { storage } = userStorage()
  const session = createSessionManager({
    ...{ http, storage, bus, clock, log, closed: closed.signal },
    isBrowser: true,
    marker: { isSet: () => true, set() {} }
  })
  await new Promise<void>(resolve => {
    session.state.subscribe(({ state }) => state !== 'unknown' && resolve())
  })
  if (session.state.get().state !== 'signed-in') await session.signIn(user)
  const link = createLink({ address, fetch, WebSocket, clock, log, session, leadership, tabs })
  t.teardown(close)

  return {
    page,
    link,
    session,
    logs,
    close,
    /** Leads beside the tab that was elected. */
    leadAnyway: () => isLeader.set(true)
  }

  function close() {
    link.close()
    session.close()
    elected.close()
    closed.abort()
  }
}

/** Opens a checklist and keeps the state that its handler receives. Throws when a handler is called out of order. */
export function follow(link: Link, checklistId: string, known?: Confirmed) {
  const peers = new Map<string, Peer>()
  const followed = {
    state: known,
    isCaughtUp: false,
    snapshots: 0,
    revs: [] as number[],
    peers,
    others: 0,
    revoked: [] as string[],
    refused: [] as string[],
    list: undefined as unknown as OpenedList
  }
  const handler: ListHandler = {
    snapshot(checklist) {
      followed.snapshots++
      followed.state = fromSnapshot(checklist)
    },
    changes({ from, to, changes }) {
      const { state } = followed
      if (!state || from !== state.rev + 1) throw new Error(`${from} does not follow ${state?.rev}`)
      const next = applyChanges(state, changes)
      if (next === 'gap' || next.rev !== to) throw new Error(`a gap before ${to}`)
      followed.state = next
      followed.revs.push(...changes.map(({ rev }) => rev))
    },
    presence(changed, others, isWhole) {
      if (isWhole) peers.clear()
      for (const peer of changed) {
        if (peer.state) peers.set(peer.connectionId, peer)
        else peers.delete(peer.connectionId)
      }
      followed.others = others
    },
    revoked: reason => followed.revoked.push(reason),
    refused: code => followed.refused.push(code),
    caughtUp(isCaughtUp) {
      followed.isCaughtUp = isCaughtUp
    }
  }
  followed.list = link.open(checklistId, handler, known && { rev: known.rev, epoch: known.epoch })
  return Object.assign(followed, {
    texts: () => followed.state?.order.map(({ text }) => text) ?? []
  })
}

/** Collects the events that a tab receives, without `ready` and `heartbeat`. */
export function listen(link: Link) {
  const events: FeedEvent[] = []
  link.onEvent(event => {
    if (event.type !== 'ready' && event.type !== 'heartbeat') events.push(event)
  })
  return events
}

/** Returns the numbers of open streams and sockets of the service. */
export async function countConnections(app: FastifyInstance): Promise<[number, number]> {
  return [await readMetric(app, 'concord_streams'), await readMetric(app, 'concord_sockets')]
}
