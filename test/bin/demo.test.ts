import { readdir } from 'node:fs/promises'
import t from 'tap'
import { createTimeline } from '../../bin/demo/timeline.ts'
import { createDataDir, spawnService } from '../support/process.ts'

t.test('the demo passes every step, exits with 0 and leaves no file', async t => {
  const folder = await createDataDir(t)
  const demo = spawnService(t, { TMPDIR: folder }, 'bin/demo.ts')
  t.strictSame(await demo.exited, [0, null], demo.output.stdout)
  t.equal(demo.output.stderr, '')
  t.match(demo.output.stdout, /\nAll \d+ deliveries arrived: /)
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
