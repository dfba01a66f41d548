import { readdir } from 'node:fs/promises'
import t from 'tap'
import { createTimeline } from '../../bin/demo/timeline.ts'
import { createClient } from '../../client/index.ts'
import { createDataDir, START_MS, spawnService } from '../support/process.ts'
import { until } from '../support/until.ts'

t.test('the demo passes every step, exits with 0 and leaves no file', async t => {
  const folder = await createDataDir(t)
  const demo = spawnService(t, { TMPDIR: folder }, 'bin/demo.ts')
  t.strictSame(await demo.exited, [0, null], demo.output.stdout)
  t.equal(demo.output.stderr, '')
  t.match(demo.output.stdout, /\nAll \d+ deliveries arrived: /)
  t.strictSame(await readdir(folder), [])
})

t.test('the demo with --open stays open, filled, until it is interrupted', async t => {
  const folder = await createDataDir(t)
  const demo = spawnService(t, { TMPDIR: folder }, 'bin/demo.ts', ['--open'])
  const { child, output } = demo
  await until(() => child.exitCode !== null || /Ctrl\+C/.test(output.stdout), START_MS)
  t.equal(output.stderr, '')
  const [, url = ''] = /^Concord +(http:\S+)$/m.exec(output.stdout) ?? []
  const [, password = ''] = /^Password +(.+)$/m.exec(output.stdout) ?? []
  const emails = output.stdout.match(/\S+@example\.com/g) ?? []
  t.equal(emails.length, 3)
  t.match(await (await fetch(url)).text(), '<title>Concord</title>')
  for (const email of emails) {
    const client = createClient(url)
    await client.signIn({ email, password })
    const projects = await client.projects.ready()
    const fair = projects.find(({ name }) => name === 'Summer fair')
    const lists = await client.project(fair?.id ?? '').checklists.ready()
    const list = client.checklist(lists[0]?.id ?? '')
    const { items, conflicts } = await list.ready()
    t.equal(conflicts.length, 1)
    t.ok(items.some(({ text }) => text === 'Order 12 white chairs by Friday'))
    await client.close()
  }
  child.kill('SIGINT')
  child.kill('SIGINT')
  t.strictSame(await demo.exited, [0, null])
  t.strictSame(await readdir(folder), [])
})

t.test('an interrupted demo exits with 130 and leaves no temporary file', async t => {
  const folder = await createDataDir(t)
  const demo = spawnService(t, { TMPDIR: folder }, 'bin/demo.ts')
  demo.child.stdout?.once('data', () => demo.child.kill('SIGINT'))
  t.strictSame(await demo.exited, [130, null])
  t.strictSame(await readdir(folder), [])
})

t.test("the demo's timeline reports missing events and failed checks", async t => {
  const lines: string[] = []
  const { step, check, end } = createTimeline({ deadlineMs: 20, print: line => lines.push(line) })
  await step('Ann sends an event', () => {}, { 'Ann: the event': Promise.resolve() })
  t.equal(end(), true)
  await step('Ann sends an event', () => {}, { 'Bob: the event': new Promise(() => {}) })
  check('Bob has received it', false)
  t.equal(end(), false)
  t.match(lines.join('\n'), /Bob: the event +NOT within 20 ms\n +✗ Bob has received it: NO\n/)
  await t.rejects(
    step('Ann waits', () => new Promise(() => {})),
    /timed out after 20 ms/
  )
})
