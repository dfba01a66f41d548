import t from 'tap'
import { build, listen, PASSWORD, person, until } from '../support/app.ts'
import { serve } from '../support/service.ts'

t.test('two people write in their terminals and see each other', async t => {
  const app = await build(t)
  const url = await listen(t, app)
  const [ann, bob] = [await person(app, 'Ann'), await person(app, 'Bob')]
  const terminal = ({ email }: { email: string }) =>
    serve(t, {}, 'bin/live.ts', [email, PASSWORD, url])
  const early = terminal(ann)
  t.strictSame(await early.exited, [1, null])
  t.equal(early.output.stderr, 'you are in no project yet\n')

  const post = async (path: string, payload: object) =>
    (await app.inject({ method: 'POST', url: path, headers: ann.headers, payload })).json()
  const { id } = await post('/projects', { name: 'Fair' })
  await post(`/projects/${id}/members`, { email: bob.email, role: 'editor' })
  await post(`/projects/${id}/checklists`, { title: 'To buy' })
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
