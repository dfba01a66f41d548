import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { transform } from 'esbuild'
import t from 'tap'
import type { Checklist } from '../../client/types.ts'
import { buildPackage } from '../../lib/client-bundle.ts'
import { startNode } from '../support/app.ts'
import { typeErrors } from '../support/type-check.ts'
import { until } from '../support/until.ts'
import { createUser } from '../support/users.ts'
import { lineAt, open, shows, startChecklist } from './checklist-setup.ts'

const root = join(import.meta.dirname, '../..')
const text = readFileSync(join(root, 'docs/client.md'), 'utf8')
const examples = [...text.matchAll(/^```(?:ts|js)\n(.*?)^```$/gms)].map(([, code = '']) => code)

/** Returns the only example that contains these words. */
function example(words: string): string {
  const [code, ...more] = examples.filter(code => code.includes(words))
  if (code === undefined || more.length > 0) throw new Error(`${more.length} examples of ${words}`)
  return code
}

t.test('every example of the client library compiles', async t => {
  for (const name of ['react', 'svelte/store', 'solid-js', 'vue', 'ws'])
    t.ok(
      examples.some(code => code.includes(` from '${name}'`)),
      name
    )
  const files = examples.map((code, n) => [`example-${n + 1}.ts`, `${code}\nexport {}\n`])
  const errors = typeErrors(t, Object.fromEntries(files), {
    skipLibCheck: true,
    noUnusedLocals: false,
    paths: { 'concord/client': [join(root, 'client/index.ts')] }
  })
  t.equal(errors, '')
})

const tenLines = example('signIn')
const withWebSocket = example(" from 'ws'")
const start = /^import .*createClient\([^)]*\)\n/s

// The host may have another Node than the tests.
const hosts = [process.env.npm_node_execpath ?? '', '/usr/bin/node']
const nodes = new Set([process.execPath, ...hosts].filter(existsSync))

t.test('the ten lines sign in, list projects and edit a checklist', async t => {
  t.equal(tenLines.trim().split('\n').filter(Boolean).length, 10)
  const { app, url } = await startNode(t)
  const installed = (name: string) => t.fixture('symlink', join(root, 'node_modules', name))
  for (const node of nodes) {
    const version = await run(node, ['--version'])
    const isOld = version.stdout.startsWith('v20.')
    const ann = await createUser(app, 'Ann')
    const code = (isOld ? tenLines.replace(start, withWebSocket) : tenLines)
      .replace('http://127.0.0.1:3000', url)
      .replace('ann@example.com', ann.email)
      .replace('hat and coat', ann.password)
    const folder = t.testdir({
      'package.json': '{ "type": "module" }',
      'program.js': code,
      node_modules: {
        concord: {
          'package.json': t.fixture('symlink', join(root, 'package.json')),
          dist: { client: { 'index.js': await buildPackage() } }
        },
        idb: installed('idb'),
        'eventsource-parser': installed('eventsource-parser'),
        ws: installed('ws')
      }
    })
    const { stdout, stderr, status } = await run(node, [join(folder, 'program.js')])
    t.equal(stderr, '', version.stdout)
    t.equal(status, 0)
    t.match(stdout, /'Order 12 chairs: (waiting|sending|saved)'/)
    const rows = await app.sql`
      select project.name, checklist.title, item.text
      from project_members as member
      join projects as project on project.id = member.project_id
      join checklists as checklist on checklist.project_id = project.id
      join checklist_items as item on item.checklist_id = checklist.id
      where member.user_id = ${ann.id}
      order by item.position`
    t.strictSame(
      [...rows],
      ['Order 12 chairs', 'Call the band'].map(text => ({
        ...{ name: 'Summer fair', title: 'To buy', text }
      }))
    )
  }
})

async function run(node: string, args: string[]) {
  const child = spawn(node, args, { env: { PATH: process.env.PATH }, timeout: 30_000 })
  const [stdout, stderr, [status]] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    once(child, 'close')
  ])
  return { stdout, stderr, status }
}

/** The parts of an input that the example uses. A user types with `type`. */
function createInput() {
  const input = {
    value: '',
    onfocus() {},
    oninput() {},
    onblur() {},
    type(value: string) {
      input.value = value
      input.oninput()
    }
  }
  return input
}

t.test('the input of the example keeps its text, and the words of others', async t => {
  const { code } = await transform(example('bindText'), { loader: 'ts', format: 'esm' })
  const { bindText } = (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as {
    bindText: (input: object, list: Checklist, itemId: string) => () => void
  }
  const { client: startAnn, list } = await startChecklist(t)
  const [id] = (await list.addItems('Order chairs')) as [string]
  const { client, checklist } = await startAnn()
  await open(t, client, checklist)
  const input = createInput()
  t.teardown(bindText(input, checklist, id))
  t.equal(input.value, 'Order chairs')

  input.onfocus()
  input.type('Order chairs a')
  const set = { text: { from: 'Order chairs', to: 'Please order chairs' } }
  await list.apply({ kind: 'item.set', itemId: id, set })
  await shows(checklist, ({ items }) => items[0]?.text === 'Please order chairs a')
  t.equal(input.value, 'Order chairs a')
  t.throws(() => input.type(''), { code: 'INVALID' })
  input.type('Order chairs and tables')
  input.onblur()
  t.equal(lineAt(checklist, 0).text, 'Please order chairs and tables')
  t.equal(input.value, 'Please order chairs and tables')
  await until(async () => (await list.texts())[0] === 'Please order chairs and tables')
})
