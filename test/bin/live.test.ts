import t from 'tap'
import { build, listen } from '../support/app.ts'
import { spawnService } from '../support/process.ts'
import { addMember, createChecklist, createProject } from '../support/projects.ts'
import { until } from '../support/until.ts'
import { createUser, PASSWORD } from '../support/users.ts'

t.test("two users edit a checklist in terminals and receive each other's changes", async t => {
  const app = await build(t)
  const url = await listen(app)
  const [ann, bob] = [await createUser(app, 'Ann'), await createUser(app, 'Bob')]
  const terminal = ({ email }: { email: string }) =>
    spawnService(t, {}, 'bin/live.ts', [email, PASSWORD, url])
  const early = terminal(ann)
  t.strictSame(await early.exited, [1, null])
  t.equal(early.output.stderr, 'you are in no project yet\n')

  const projectId = await createProject(ann)
  await addMember(ann, projectId, bob)
  await createChecklist(ann, projectId)
  const [a, b] = [terminal(ann), terminal(bob)]
  await until(() => [a, b].every(({ output }) => output.stdout.startsWith('To buy.')), 30_000)

  a.child.stdin?.write('Milk\n')
  await until(() => b.output.stdout.includes('rev 2  Ann  item.added  [ ] Milk\n'))
  b.child.stdin?.write('1 Oat milk\n')
  await until(() => a.output.stdout.includes('rev 3  Bob  item.updated  [ ] Milk → [ ] Oat milk\n'))
  a.child.stdin?.write('1\n')
  await until(() =>
    b.output.stdout.includes('rev 4  Ann  item.updated  [ ] Oat milk → [x] Oat milk')
  )
  await app.sql`update checklist_items set text = 'Soy milk'`
  for (const { output } of [a, b]) await until(() => output.stdout.includes('rev 5  SQL  item.up'))

  b.child.stdin?.end()
  t.strictSame(await b.exited, [0, null])
})
