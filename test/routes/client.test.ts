import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import packageJson from '../../package.json' with { type: 'json' }
import { build, startNode } from '../support/app.ts'
import { typeErrors } from '../support/type-check.ts'

const root = join(import.meta.dirname, '../..')
const allowed = 'https://app.example.com'
const { app, url } = await startNode(t, { ALLOWED_ORIGINS: allowed, WEB: 'on' })
const values = ['ConcordError', 'createClient', 'indexedDbStorage', 'memoryStorage', 'version']
const paths = ['/client.js', '/client.d.ts']

t.test('GET /client.js returns the client as one module without imports', async t => {
  const reply = await app.inject('/client.js')
  t.equal(reply.statusCode, 200)
  t.equal(reply.headers['content-type'], 'text/javascript; charset=utf-8')
  t.match(reply.body, `/*! Concord ${packageJson.version} `)
  const file = join(t.testdir({ 'client.mjs': reply.body }), 'client.mjs')
  const module = await import(file)
  t.strictSame(Object.keys(module).sort(), values)
  t.equal(module.version, packageJson.version)
  t.notMatch(reply.body, /\b(?:from|import) ?["'(]/)
})

t.test('the files of the client are sent again only when they have changed', async t => {
  for (const path of paths) {
    const { headers, body } = await app.inject(path)
    t.match(headers, { etag: /^"[\w-]{22}"$/, 'cache-control': 'no-cache' })
    t.equal(Number(headers['content-length']), Buffer.byteLength(body))
    for (const match of [headers.etag, `W/${headers.etag}`, `"other", ${headers.etag}`, '*']) {
      const again = await app.inject({ url: path, headers: { 'if-none-match': match } })
      t.equal(again.statusCode, 304, `${path} ${match}`)
      t.equal(again.headers.etag, headers.etag)
      t.equal(again.body, '')
    }
    const other = await app.inject({ url: path, headers: { 'if-none-match': '"other"' } })
    t.equal(other.statusCode, 200)
    t.equal((await app.inject({ url: path, method: 'HEAD' })).headers.etag, headers.etag)
  }
})

t.test('only pages of allowed origins may import /client.js', async t => {
  const reply = await fetch(`${url}/client.js`, { headers: { origin: allowed } })
  t.equal(reply.headers.get('access-control-allow-origin'), allowed)
  t.match(reply.headers.get('vary'), /origin/i)
  const other = await fetch(`${url}/client.js`, { headers: { origin: 'https://other.example' } })
  t.equal(other.headers.get('access-control-allow-origin'), null)
})

t.test('with WEB=off the files of the client are 404', async t => {
  const app = await build(t, { WEB: 'off' })
  for (const path of paths) {
    const reply = await app.inject(path)
    t.equal(reply.statusCode, 404, path)
    t.equal(reply.json().code, 'ROUTE_NOT_FOUND')
  }
})

t.test('the process that bundles the client ends before the service is ready', async t => {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'ppid=,command='], { encoding: 'utf8' })
  const children = stdout.split('\n').filter(line => line.trim().startsWith(`${process.pid} `))
  t.notMatch(children.join('\n'), 'esbuild')
})

t.test('the served types are those of the source, without imports', async t => {
  const { body, headers } = await app.inject('/client.d.ts')
  t.equal(headers['content-type'], 'text/plain; charset=utf-8')
  t.notMatch(body, /\bimport\b.*['"(]|typebox/i)
  const types = [...body.matchAll(/^export (?:interface|type) (\w+)(<T>)?/gm)]
  t.ok(types.length > 30)
  const checks = [
    ...types.map(([, name, parameter]) => [name, parameter ? `${name}<{ a: 1 }>` : name]),
    ...values.map(name => [name, name])
  ].map(([name, type = ''], n) => {
    const isValue = n >= types.length
    const [served, source] = ['served', 'source'].map(from =>
      isValue ? `typeof ${from}.${type}` : `${from}.${type}`
    )
    return `export const ${name}: Equal<${served}, ${source}> = true`
  })
  const errors = typeErrors(t, {
    'served.d.ts': body,
    'equal.ts': `
      import type * as served from './served.d.ts'
      import type * as source from '${join(root, 'client/index.ts')}'
      type Equal<A, B> =
        (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
      export const values: Equal<keyof typeof served, '${values.join("' | '")}'> = true
      ${checks.join('\n')}
    `
  })
  t.equal(errors, '')
})

t.test('a program can be checked against the served types', async t => {
  const { body } = await app.inject('/client.d.ts')
  const program = readFileSync(join(root, 'test/client/types.ts'), 'utf8')
  t.equal(
    typeErrors(t, {
      'client.d.ts': body,
      'program.ts': program.replace('../../client/index.ts', './client.js')
    }),
    ''
  )
})
