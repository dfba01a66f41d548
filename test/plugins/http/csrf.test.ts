import t from 'tap'
import { startNode } from '../../support/app.ts'
import { openFeed } from '../../support/sse-client.ts'
import { createUser, signIn } from '../../support/users.ts'

const LISTED = 'https://app.example.com'
const HOST = 'api.example.com:3000'
const { app, url, call } = await startNode(t, {
  ALLOWED_ORIGINS: `${LISTED},http://localhost:5173`
})
const ann = await createUser(app)
const { email, password } = ann

/** Headers of a request, and whether it may use the cookie. */
const origins: [Record<string, string>, boolean][] = [
  [{}, true],
  [{ origin: LISTED }, true],
  [{ origin: LISTED, 'sec-fetch-site': 'cross-site' }, true],
  [{ origin: 'http://localhost:5173' }, true],
  [{ origin: `https://${HOST}` }, true],
  [{ origin: `http://${HOST}` }, true],
  [{ 'sec-fetch-site': 'same-origin' }, true],
  [{ 'sec-fetch-site': 'none' }, true],

  [{ 'sec-fetch-site': 'cross-site' }, false],
  [{ 'sec-fetch-site': 'same-site' }, false],
  [{ origin: 'null' }, false],
  [{ origin: '' }, false],
  [{ origin: 'https://evil.example' }, false],
  [{ origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' }, false],
  // variants of the listed origin: scheme, port, parent, child, suffix, letters, list
  [{ origin: 'http://app.example.com' }, false],
  [{ origin: 'https://app.example.com:8443' }, false],
  [{ origin: 'https://example.com' }, false],
  [{ origin: 'https://x.app.example.com' }, false],
  [{ origin: 'https://app.example.com.evil.example' }, false],
  [{ origin: 'https://app.example.comevil.example' }, false],
  [{ origin: 'https://app-example.com' }, false],
  [{ origin: 'https://app.example.com@evil.example' }, false],
  [{ origin: `${LISTED}, https://evil.example` }, false],
  [{ origin: `${LISTED} https://evil.example` }, false],
  // variants of the service's own origin
  [{ origin: 'https://api.example.com' }, false],
  [{ origin: 'https://api.example.com:3001' }, false],
  [{ origin: `https://${HOST}.evil.example` }, false],
  [{ origin: `https://evil.example#${HOST}` }, false],
  [{ origin: `https://evil.example\\@${HOST}` }, false],
  [{ origin: `ftp://${HOST}` }, false],
  [{ origin: `capacitor://${HOST}` }, false],
  [{ origin: HOST }, false],
  [{ origin: `//${HOST}` }, false],
  [{ origin: `https://${HOST}/page` }, false],
  // headers that the client controls do not change the service's own origin
  [{ origin: 'https://evil.example', 'x-forwarded-host': 'evil.example' }, false],
  [{ origin: 'https://evil.example', forwarded: 'host=evil.example' }, false]
]

t.test("the cookie works only from the service's own and listed origins", async t => {
  for (const [sender, isAllowed] of origins) {
    const headers = { host: HOST, ...sender }
    let { cookie } = await signIn(app, ann)
    for (const path of ['/auth/signin', '/auth/refresh', '/auth/signout']) {
      const body = path === '/auth/signin' ? { email, password } : undefined
      const reply = await call('POST', path, { cookie, headers, body })
      const name = `${path} ${JSON.stringify(sender)}`
      t.equal(reply.status, isAllowed ? 200 : 403, name)
      if (isAllowed) cookie = reply.cookie
      else t.match(reply, { cookie: '', body: { code: 'FOREIGN_ORIGIN' } }, name)
    }
    if (isAllowed) continue
    t.equal(
      (await call('POST', '/auth/refresh', { cookie })).status,
      200,
      'the session is unchanged'
    )
  }
})

t.test('a foreign origin can open a stream by token, not by cookie', async t => {
  for (const [headers, isAllowed] of origins) {
    const { cookie } = ann
    const sent = { ...headers, host: HOST }
    if (isAllowed) continue
    const reply = await call('GET', '/events', { cookie, headers: sent })
    t.equal(reply.status, 403, JSON.stringify(headers))
  }
  const headers = { authorization: `Bearer ${ann.token}`, origin: 'https://evil.example' }
  const feed = await openFeed(t, url, headers)
  t.equal(feed.response.status, 200)
  t.notOk(feed.response.headers.get('access-control-allow-origin'))
})

t.test('responses have CORS headers for listed origins only', async t => {
  for (const origin of [LISTED, 'http://localhost:5173']) {
    const { headers } = await call('GET', '/users/me', { token: ann.token, headers: { origin } })
    t.equal(headers['access-control-allow-origin'], origin)
    t.equal(headers['access-control-allow-credentials'], 'true')
    t.match(headers.vary, /origin/i)
  }
  const foreign = origins.flatMap(([{ origin }, isAllowed]) => (isAllowed || !origin ? [] : origin))
  for (const origin of foreign) {
    const { headers } = await call('GET', '/users/me', { token: ann.token, headers: { origin } })
    t.not(headers['access-control-allow-origin'], origin)
    t.not(headers['access-control-allow-origin'], '*')
  }
})

t.test('a preflight allows only the listed origins', async t => {
  const preflight = (origin: string) =>
    call('OPTIONS', '/users/me', {
      headers: {
        origin,
        'access-control-request-method': 'PATCH',
        'access-control-request-headers': 'authorization, content-type'
      }
    })
  const listed = await preflight(LISTED)
  t.equal(listed.status, 204)
  t.match(listed.headers, {
    'access-control-allow-origin': LISTED,
    'access-control-allow-methods': /PATCH.*DELETE/,
    'access-control-allow-headers': 'authorization, content-type',
    'access-control-max-age': '600'
  })
  t.not(
    (await preflight('https://evil.example')).headers['access-control-allow-origin'],
    'https://evil.example'
  )
})

t.test('a sign-in with a content type of HTML forms returns 415', async t => {
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
    const reply = await call('POST', '/auth/signin', {
      body: JSON.stringify({ email, password }),
      headers: { 'content-type': type }
    })
    t.equal(reply.status, 415, type)
  }
})

t.test('GET and HEAD requests change no user and no session', async t => {
  const state = async () => {
    const users = await app.sql`select * from users order by id`
    const sessions = await app.sql`select * from sessions order by id`
    return JSON.stringify([users, sessions])
  }
  const before = await state()
  const { cookie, token } = ann
  for (const path of ['signup', 'signin', 'refresh', 'signout', 'password', 'sessions']) {
    for (const method of ['GET', 'HEAD']) {
      const reply = await call(method, `/auth/${path}`, { cookie, token })
      t.equal(reply.status, path === 'sessions' ? 200 : 405, `${method} ${path}`)
      t.equal(reply.headers['set-cookie'], undefined)
    }
  }
  await call('GET', '/users/me', { token })
  t.equal(await state(), before)
})
