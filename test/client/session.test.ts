import t from 'tap'
import type { ConcordError } from '../../client/errors.ts'
import { startNode } from '../support/app.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { times } from '../support/times.ts'
import { until } from '../support/until.ts'
import { createUser, sessionIdOf, signIn } from '../support/users.ts'
import {
  browserFetch,
  countingFetch,
  type Manager,
  movableClock,
  realClock,
  startManager,
  tabBuses,
  userStorage
} from './session-setup.ts'

const { app, url, call } = await startNode(t)
/** a service whose access tokens live for two seconds */
const brief = await startNode(t, { ACCESS_TOKEN_TTL: '2' })
const LIFE_MS = 900_000
const NAME = { method: 'GET', path: '/users/me' } as const

const me = (manager: Manager) => manager.request<{ name: string }>(NAME.method, NAME.path)
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'none',
    (error: ConcordError) => error.code
  )
const isExpired = async (token: string) =>
  (await brief.call('GET', '/users/me', { token })).body.code === 'TOKEN_EXPIRED'

t.test('a user signs up, signs in, sends a request and signs out', async t => {
  const manager = startManager(t, url)
  t.strictSame(manager.state.get(), { state: 'signed-out', reason: null })
  t.equal(await codeOf(me(manager)), 'SIGNED_OUT')
  const account = { email: 'new@example.com', password: 'correct horse battery', name: 'New' }
  const { id } = await manager.signUp(account)
  const user = await manager.signIn(account)
  t.strictSame(user, { id, name: 'New' })
  t.strictSame(manager.state.get(), { state: 'signed-in', user })
  t.strictSame(await me(manager), user)
  const token = await manager.token()
  t.strictSame(await manager.headers(), { authorization: `Bearer ${token}` })
  await manager.signOut()
  t.strictSame(manager.state.get(), { state: 'signed-out', reason: 'signed_out' })
  t.equal(await codeOf(me(manager)), 'SIGNED_OUT')
  t.equal((await call('GET', '/users/me', { token })).status, 401)
})

t.test('requests with an expired token share one refresh and are retried', async t => {
  const { app, url } = brief
  const ann = await createUser(app)
  const { fetch, counts } = countingFetch()
  // With this clock, the manager does not notice that the token expires.
  const manager = startManager(t, url, { fetch, clock: { ...realClock, now: () => 0 } })
  await manager.signIn(ann)
  const token = await manager.token()
  await until(() => isExpired(token))
  const names = await times(5, async () => (await me(manager)).name)
  t.strictSame(names, Array(5).fill('Ann'))
  t.equal(counts['/auth/refresh'], 1)
})

t.test('a token is refreshed about a minute before it expires', async t => {
  const ann = await createUser(app)
  const timers: { run: () => void; ms: number }[] = []
  const clock = {
    ...realClock,
    setTimeout(run: () => void, ms: number) {
      timers.push({ run, ms })
      return realClock.setTimeout(run, ms)
    }
  }
  const manager = startManager(t, url, { clock })
  await manager.signIn(ann)
  manager.keepFresh(true)
  const { run, ms } = timers.at(-1) ?? { run() {}, ms: 0 }
  t.ok(ms > LIFE_MS - 80_000 && ms < LIFE_MS - 55_000, `${ms}`)
  const isRefreshed = new Promise(resolve => manager.onToken(resolve))
  run()
  await isRefreshed
})

t.test('after waking, a token that has expired is refreshed at once', async t => {
  const ann = await createUser(app)
  const clock = movableClock()
  const manager = startManager(t, url, { clock })
  await manager.signIn(ann)
  manager.keepFresh(true)
  clock.skip(LIFE_MS)
  const isRefreshed = new Promise(resolve => manager.onToken(resolve))
  manager.keepFresh(true)
  await isRefreshed
})

t.test('ten tabs whose token expires rotate the cookie once', async t => {
  const { app, url } = brief
  const ann = await createUser(app)
  const fetch = browserFetch()
  const first = startManager(t, url, { fetch, isBrowser: true })
  await until(() => first.state.get().state === 'signed-out')
  await first.signIn(ann)
  const tabs = await times(9, async () => startManager(t, url, { fetch, isBrowser: true }))
  tabs.push(first)
  await until(() => tabs.every(tab => tab.state.get().state === 'signed-in'))
  const token = await first.token()
  await until(() => isExpired(token))
  await Promise.all(tabs.map(me))
  const [session] = await app.sql`select counter from sessions where id = ${sessionIdOf(token)}`
  t.equal(session?.counter, 1)
  t.ok(tabs.every(tab => tab.state.get().state === 'signed-in'))
})

t.test('a refresh without network keeps the user and is repeated', async t => {
  const { app, url } = brief
  const ann = await createUser(app)
  const proxy = await tcpProxy(t, url)
  const manager = startManager(t, proxy.url)
  await manager.signIn(ann)
  const token = await manager.token()
  proxy.close()
  await until(() => isExpired(token))
  t.equal(await codeOf(me(manager)), 'NETWORK')
  manager.keepFresh(true)
  await until(() => manager.logs.length > 0)
  t.match(manager.state.get(), { state: 'signed-in' })
  await proxy.reopen()
  t.equal((await until(() => me(manager))).name, 'Ann')
})

for (const status of [429, 500, 502, 503]) {
  t.test(`a refresh that returns ${status} keeps the user signed in`, async t => {
    const ann = await createUser(app)
    const clock = movableClock()
    let isFaulty = false
    const fetch: typeof globalThis.fetch = async (input, init) => {
      if (!isFaulty || !String(input).endsWith('/refresh')) return globalThis.fetch(input, init)
      return new Response('<h1>no</h1>', { status, headers: { 'retry-after': '7' } })
    }
    const manager = startManager(t, url, { fetch, clock })
    await manager.signIn(ann)
    clock.skip(LIFE_MS)
    isFaulty = true
    const error = await me(manager).catch(error => error)
    t.match(error, { code: 'NETWORK', status, retryAfterMs: 7000 })
    t.match(manager.state.get(), { state: 'signed-in' })
    isFaulty = false
    t.match(await me(manager), { name: 'Ann' })
  })
}

t.test('a session that has ended signs out with the reported reason', async t => {
  const ann = await createUser(app)
  const { storage, stores } = userStorage()
  const manager = startManager(t, url, { storage })
  await manager.signIn(ann)
  const sessionId = sessionIdOf(await manager.token())
  await call('DELETE', `/auth/sessions/${sessionId}`, { token: ann.token })
  manager.ended('revoked')
  await until(() => manager.state.get().state === 'signed-out')
  t.match(manager.state.get(), { reason: 'revoked' })
  t.same([...stores], [ann.id], 'what is stored remains for the same user')
  t.equal(await storage.lastUser(), null, 'but is not shown before a sign-in')
})

t.test('the most exact reason for the end of a session wins', async t => {
  const ann = await createUser(app)
  const manager = startManager(t, url)
  await manager.signIn(ann)
  await call('DELETE', '/auth/sessions', { token: ann.token })
  manager.ended('revoked')
  manager.ended('password_changed')
  manager.ended('revoked')
  manager.ended('expired')
  await until(() => manager.state.get().state === 'signed-out')
  t.match(manager.state.get(), { reason: 'password_changed' })
  manager.ended('revoked')
  t.match(manager.state.get(), { reason: 'password_changed' })
})

t.test('a request of an ended session signs out as expired', async t => {
  const ann = await createUser(app)
  const manager = startManager(t, url)
  await manager.signIn(ann)
  await call('DELETE', '/auth/sessions', { token: ann.token })
  t.equal(await codeOf(me(manager)), 'SIGNED_OUT')
  t.strictSame(manager.state.get(), { state: 'signed-out', reason: 'expired' })
  manager.ended('revoked')
  t.match(manager.state.get(), { reason: 'revoked' }, 'a report that comes later gives the reason')
})

t.test('a report about an earlier session keeps the user signed in', async t => {
  const ann = await createUser(app)
  const { fetch, counts } = countingFetch()
  const manager = startManager(t, url, { fetch })
  await manager.signIn(ann)
  manager.ended('replaced')
  await until(() => (counts['/users/me'] ?? 0) > 1)
  t.match(manager.state.get(), { state: 'signed-in' })
  t.match(await me(manager), { name: 'Ann' })
})

t.test('a sign-out wins over a refresh in flight', async t => {
  const ann = await createUser(app)
  const clock = movableClock()
  const { fetch, hold } = countingFetch()
  const manager = startManager(t, url, { fetch, clock })
  await manager.signIn(ann)
  clock.skip(LIFE_MS)
  const refresh = hold('/auth/refresh')
  const code = codeOf(me(manager))
  await refresh.arrived
  await manager.signOut()
  refresh.release()
  t.equal(await code, 'SIGNED_OUT')
  t.match(manager.state.get(), { state: 'signed-out', reason: 'signed_out' })
  t.equal(await codeOf(manager.token()), 'SIGNED_OUT')
})

t.test('a request of one user is never sent as another', async t => {
  const ann = await createUser(app)
  const bob = await createUser(app, 'Bob')
  const clock = movableClock()
  const { fetch, hold } = countingFetch()
  const manager = startManager(t, url, { fetch, clock })
  await manager.signIn(ann)
  clock.skip(LIFE_MS)
  const refresh = hold('/auth/refresh')
  const code = codeOf(me(manager))
  await refresh.arrived
  await manager.signIn(bob)
  refresh.release()
  t.equal(await code, 'SIGNED_OUT')
  t.match(await me(manager), { name: 'Bob' })
})

t.test('a reload without network starts with the last user', async t => {
  const ann = await createUser(app)
  const proxy = await tcpProxy(t, url)
  const address = proxy.url
  const fetch = browserFetch()
  const { storage, calls } = userStorage()
  const before = startManager(t, address, { fetch, storage, isBrowser: true })
  await until(() => before.state.get().state === 'signed-out')
  await before.signIn(ann)
  const token = await before.token()
  before.close()
  proxy.close()
  const after = startManager(t, address, { fetch, storage, isBrowser: true })
  t.match(after.state.get(), { state: 'unknown' })
  await until(() => after.state.get().state === 'signed-in')
  t.equal(await codeOf(me(after)), 'NETWORK')
  await proxy.reopen()
  await until(() => me(after))
  t.notOk(JSON.stringify(calls).includes(token), 'no token is stored')
})

t.test('a reload after the session has ended signs out as expired', async t => {
  const ann = await createUser(app)
  const { storage, stores } = userStorage({ id: ann.id, name: 'Ann' })
  const manager = startManager(t, url, { storage, isBrowser: true })
  await until(() => manager.state.get().state === 'signed-out')
  t.match(manager.state.get(), { reason: 'expired' })
  t.same([...stores], [ann.id])
  t.match(await storage.lastUser(), { id: ann.id }, 'also after the next reload')
})

t.test('a browser without a session starts signed out without a request', async t => {
  const ann = await createUser(app)
  const { fetch, counts } = countingFetch(browserFetch())
  const { storage } = userStorage()
  let isSet = false
  const marker = {
    isSet: () => isSet,
    set(next: boolean) {
      isSet = next
    }
  }
  const start = () => startManager(t, url, { fetch, storage, marker, isBrowser: true })
  const first = start()
  t.strictSame(first.state.get(), { state: 'signed-out', reason: null })
  t.strictSame(counts, {})
  await first.signIn(ann)
  t.equal(isSet, true)

  const second = start()
  t.match(await me(second), { name: 'Ann' })
  t.equal(counts['/auth/refresh'], 1)
  await second.signOut()
  t.equal(isSet, false)
  t.strictSame(start().state.get(), { state: 'signed-out', reason: null })

  await second.signIn(ann)
  await call('DELETE', '/auth/sessions', { token: ann.token })
  const third = start()
  await until(() => third.state.get().state === 'signed-out')
  t.equal(isSet, false, 'a refused refresh is not repeated by the next page')
  const fourth = start()
  await until(() => (fourth.state.get() as { reason?: unknown }).reason === 'expired')
  t.equal(counts['/auth/refresh'], 2)
})

t.test('other tabs follow a sign-in, a rename and a sign-out', async t => {
  const ann = await createUser(app)
  const bob = await createUser(app, 'Bob')
  const fetch = browserFetch()
  const { storage, stores } = userStorage()
  const [one, two] = tabBuses(2).map(bus =>
    startManager(t, url, { fetch, storage, bus, isBrowser: true })
  ) as [Manager, Manager]
  await until(() => two.state.get().state === 'signed-out')
  await one.signIn(ann)
  await until(() => two.state.get().state === 'signed-in')
  t.match(await me(two), { name: 'Ann' })
  one.rename({ id: ann.id, name: 'Anna' })
  t.match(await until(() => isUser(two, 'Anna')), { id: ann.id })
  await one.signIn(bob)
  await until(() => isUser(two, 'Bob'))
  t.match(await me(two), { name: 'Bob' })
  t.same([...stores], [bob.id], 'the store of the first user is deleted')
  await two.signOut()
  t.same([...stores], [])
  await until(() => one.state.get().state === 'signed-out')
  t.match(one.state.get(), { reason: 'signed_out' })

  function isUser({ state }: Manager, name: string) {
    const session = state.get()
    return session.state === 'signed-in' && session.user.name === name && session.user
  }
})

t.test('a tab without a bus adopts the user that its cookie belongs to', async t => {
  const ann = await createUser(app)
  const bob = await createUser(app, 'Bob')
  const fetch = browserFetch()
  const clock = movableClock()
  const one = startManager(t, url, { fetch, clock, isBrowser: true })
  await until(() => one.state.get().state === 'signed-out')
  await one.signIn(ann)
  const two = startManager(t, url, { fetch, isBrowser: true })
  await until(() => two.state.get().state === 'signed-in')
  await two.signIn(bob)
  clock.skip(LIFE_MS)
  t.equal(await codeOf(me(one)), 'SIGNED_OUT', 'a request of Ann is not sent as Bob')
  t.match(await me(one), { name: 'Bob' })
  t.match(one.state.get(), { user: { id: bob.id } })
})

t.test('a sign-out in one tab wins over a refresh in another', async t => {
  const ann = await createUser(app)
  const jar = browserFetch()
  const { fetch, hold } = countingFetch(jar)
  const clock = movableClock()
  const [buses, options] = [tabBuses(2), { fetch, clock, isBrowser: true }]
  const [one, two] = buses.map(bus => startManager(t, url, { ...options, bus })) as [
    Manager,
    Manager
  ]
  await until(() => [one, two].every(tab => tab.state.get().state === 'signed-out'))
  await one.signIn(ann)
  await until(() => two.state.get().state === 'signed-in')
  clock.skip(LIFE_MS)
  const refresh = hold('/auth/refresh')
  const code = codeOf(me(two))
  await refresh.arrived
  await one.signOut()
  await until(() => two.state.get().state === 'signed-out')
  refresh.release()
  t.equal(await code, 'SIGNED_OUT')
  t.match(two.state.get(), { reason: 'signed_out' })
  const after = startManager(t, url, options)
  await until(() => after.state.get().state === 'signed-out')
})

t.test('a sign-out in one tab wins over the start of another', async t => {
  const ann = await createUser(app)
  const { fetch, hold } = countingFetch(browserFetch())
  const [first, second] = tabBuses(2)
  const one = startManager(t, url, { fetch, isBrowser: true, bus: first })
  await until(() => one.state.get().state === 'signed-out')
  await one.signIn(ann)
  // Its message to the other tabs is delivered before the second one starts.
  await new Promise(resolve => setImmediate(resolve))
  const name = hold('/users/me')
  const two = startManager(t, url, { fetch, isBrowser: true, bus: second })
  const code = codeOf(two.token())
  await name.arrived
  await one.signOut()
  await until(() => two.state.get().state === 'signed-out')
  name.release()
  t.equal(await code, 'SIGNED_OUT')
  t.match(two.state.get(), { state: 'signed-out', reason: 'signed_out' })
})

t.test('a storage that does not respond delays a sign-in only shortly', async t => {
  const ann = await createUser(app)
  const { storage } = userStorage()
  const stuck = { ...storage, setLastUser: () => new Promise<void>(() => {}) }
  const clock = {
    ...realClock,
    setTimeout: (run: () => void, ms: number) => realClock.setTimeout(run, ms === 5000 ? 0 : ms)
  }
  const manager = startManager(t, url, { storage: stuck, clock })
  await manager.signIn(ann)
  t.match(manager.state.get(), { state: 'signed-in' })
  t.match(manager.logs, [{ message: 'storing the session failed' }])
})

t.test('a wrong password changes nothing', async t => {
  const ann = await createUser(app)
  const manager = startManager(t, url)
  await manager.signIn(ann)
  t.equal(await codeOf(manager.signIn({ ...ann, password: 'wrong' })), 'BAD_CREDENTIALS')
  t.match(await me(manager), { name: 'Ann' })
})

t.test('a sign-out without network fails and changes nothing', async t => {
  const ann = await createUser(app)
  const proxy = await tcpProxy(t, url)
  const { storage, stores } = userStorage()
  const manager = startManager(t, proxy.url, { storage })
  await manager.signIn(ann)
  proxy.close()
  t.equal(await codeOf(manager.signOut()), 'NETWORK')
  t.match(manager.state.get(), { state: 'signed-in' })
  t.equal(stores.size, 1)
  await proxy.reopen()
  t.match(await me(manager), { name: 'Ann' })
})

t.test('an aborted call and a closed client reject with ABORTED', async t => {
  const ann = await createUser(app)
  const clock = movableClock()
  const { fetch, hold } = countingFetch()
  const manager = startManager(t, url, { fetch, clock })
  await manager.signIn(ann)
  t.equal(
    await codeOf(manager.request('GET', '/users/me', { signal: AbortSignal.abort() })),
    'ABORTED'
  )
  clock.skip(LIFE_MS)
  const refresh = hold('/auth/refresh')
  const controller = new AbortController()
  const request = codeOf(manager.request('GET', '/users/me', { signal: controller.signal }))
  await refresh.arrived
  controller.abort()
  t.equal(await request, 'ABORTED')
  refresh.release()
  manager.close()
  t.equal(await codeOf(me(manager)), 'ABORTED')
})

t.test('a session that another sign-in replaces reports nothing wrong', async t => {
  const ann = await createUser(app)
  const manager = startManager(t, url)
  await manager.signIn(ann)
  const first = sessionIdOf(await manager.token())
  await manager.signIn(ann)
  const [session] = await app.sql`select revoked_reason as reason from sessions where id = ${first}`
  t.equal(session?.reason, 'replaced', 'a client outside browsers sends its cookie, too')
  await signIn(app, ann)
  t.match(await me(manager), { name: 'Ann' })
})
