import { gunzipSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { bundlePage } from '../../lib/page-bundle.ts'
import { build } from '../support/app.ts'

const app = await build(t, { WEB: 'on' })
const { body: html, headers } = await app.inject('/')
const assets = [...html.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map(([, path = '']) => path)

t.test('GET / returns the page with a strict policy', async t => {
  t.match(headers, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-cache',
    etag: /^"[\w-]{22}"$/
  })
  const policy = String(headers['content-security-policy']).split('; ')
  t.ok(policy.includes("default-src 'none'"))
  t.ok(policy.includes("require-trusted-types-for 'script'"))
  t.ok(policy.includes('trusted-types concord'))
  t.notMatch(policy.join(), /unsafe|https?:|\*/)
  const other = await app.inject('/health')
  t.notMatch(other.headers['content-security-policy'], 'trusted-types')
})

t.test('the page has no inline script or style and no foreign host', async t => {
  const script = (await app.inject(assetOf('.js'))).body
  const styles = (await app.inject(assetOf('.css'))).body
  t.notMatch(html, /<style|style=|\son\w+=|\{\{/)
  for (const [, attributes = ''] of html.matchAll(/<script([^>]*)>/g)) t.match(attributes, 'src="/')
  for (const text of [html, styles]) t.notMatch(text, /https?:\/\//)
  t.notMatch(styles, '@import')
  t.notMatch(script, /^(?:import|export)\b|\bimport\(/m)
})

t.test('assets have a hash in their names and may be cached for ever', async t => {
  t.ok(assets.length >= 4)
  const types: Record<string, string> = {
    js: 'text/javascript; charset=utf-8',
    css: 'text/css; charset=utf-8',
    woff2: 'font/woff2',
    svg: 'image/svg+xml; charset=utf-8'
  }
  for (const path of assets) {
    t.match(path, /^\/assets\/[\w-]+-[A-Z0-9]{8}\.\w+$/)
    const { statusCode, headers, rawPayload } = await app.inject(path)
    t.equal(statusCode, 200, path)
    t.equal(headers['content-type'], types[path.split('.').at(-1) ?? ''])
    t.equal(headers['cache-control'], 'public, max-age=31536000, immutable')
    t.equal(Number(headers['content-length']), rawPayload.length)
    const again = await app.inject({ url: path, headers: { 'if-none-match': headers.etag } })
    t.equal(again.statusCode, 304)
    t.equal(again.body, '')
    t.equal((await app.inject({ url: path, method: 'HEAD' })).headers.etag, headers.etag)
  }
})

t.test('the files of the page are sent again only when they have changed', async t => {
  for (const path of ['/', '/sw.js', '/manifest.webmanifest']) {
    const { headers } = await app.inject(path)
    t.equal(headers['cache-control'], 'no-cache', path)
    const again = await app.inject({
      url: path,
      headers: { 'if-none-match': `W/${headers.etag}` }
    })
    t.equal(again.statusCode, 304, path)
    t.equal(again.headers['content-security-policy'], headers['content-security-policy'])
  }
})

t.test('texts are compressed for clients that accept it', async t => {
  for (const path of ['/', '/client.js', ...assets]) {
    const plain = await app.inject(path)
    const headers = { 'accept-encoding': 'br, gzip;q=0.8' }
    const reply = await app.inject({ url: path, headers })
    if (path.endsWith('.woff2')) {
      t.equal(reply.headers['content-encoding'], undefined)
      t.equal(reply.headers.etag, plain.headers.etag)
      continue
    }
    t.match(reply.headers, { 'content-encoding': 'gzip', vary: /Origin, Accept-Encoding/ }, path)
    t.match(plain.headers, { 'content-encoding': undefined, vary: /Origin, Accept-Encoding/ })
    t.ok(gunzipSync(reply.rawPayload).equals(plain.rawPayload))
    t.not(reply.headers.etag, plain.headers.etag)
    for (const tag of [reply.headers.etag, plain.headers.etag]) {
      const again = await app.inject({ url: path, headers: { ...headers, 'if-none-match': tag } })
      t.equal(again.statusCode, 304)
    }
  }
})

t.test('an asset that does not exist returns 404', async t => {
  for (const path of ['/assets/main-AAAAAAAA.js', '/assets/package.json', '/assets/__proto__']) {
    const reply = await app.inject(path)
    t.equal(reply.statusCode, 404, path)
    t.equal(reply.json().code, 'ROUTE_NOT_FOUND')
  }
  for (const path of ['/assets/..%2fpackage.json', '/assets/'])
    t.match((await app.inject(path)).statusCode, /400|404/, path)
})

t.test('the manifest names files that exist', async t => {
  const { headers, body } = await app.inject('/manifest.webmanifest')
  t.equal(headers['content-type'], 'application/manifest+json; charset=utf-8')
  const { icons, start_url } = JSON.parse(body)
  for (const url of [start_url, ...icons.map(({ src }: { src: string }) => src)])
    t.equal((await app.inject(url)).statusCode, 200, url)
})

t.test('the service worker stores the page and the files that it needs', async t => {
  const { body } = await app.inject('/sw.js')
  const [, list = ''] = /FILES=(\[[^\]]*\])/.exec(body) ?? []
  t.strictSame(JSON.parse(list).sort(), ['/', ...new Set(assets)].sort())
})

t.test('each build makes the same files, so all nodes have the same names', async t => {
  const [one, two] = await Promise.all([bundlePage(), bundlePage()])
  t.strictSame([...one.assets.keys()], [...two.assets.keys()])
  t.equal(one.document, two.document)
  t.equal(one.document, html)
  t.equal(one.worker, two.worker)
})

t.test('the page without the client library stays small', async t => {
  const size = async (path: string) =>
    gzipSync((await app.inject(path)).rawPayload, { level: 9 }).length
  const bytes = (await size(assetOf('.js'))) - (await size('/client.js'))
  // Preact and signals are about 8 kB of it, the checklist screen about half of the rest.
  t.ok(bytes < 36_000, `${bytes} bytes`)
  t.comment(`${bytes} bytes`)
})

t.test('with WEB=off the page is not served', async t => {
  const app = await build(t, { WEB: 'off' })
  for (const path of ['/', '/sw.js', '/manifest.webmanifest', ...assets]) {
    const reply = await app.inject(path)
    t.equal(reply.statusCode, 404, path)
    t.equal(reply.json().code, 'ROUTE_NOT_FOUND')
  }
})

function assetOf(extension: string): string {
  return assets.find(path => path.endsWith(extension)) ?? ''
}
