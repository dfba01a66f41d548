import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { typeErrors } from '../support/type-check.ts'

const root = join(import.meta.dirname, '../..')
const text = readFileSync(join(root, 'docs/client.md'), 'utf8')

t.test('every example of the client library compiles', async t => {
  const examples = [...text.matchAll(/^```(?:ts|js)\n(.*?)^```$/gms)].map(([, code = '']) => code)
  for (const name of ['react', 'svelte/store', 'solid-js', 'vue', 'ws'])
    t.ok(
      examples.some(code => code.includes(` from '${name}'`)),
      name
    )
  const files = examples.map((code, n) => [
    `example-${n + 1}.ts`,
    `${code.replace(/'[^']*\/client\.js'/, "'concord/client'")}\nexport {}\n`
  ])
  const errors = typeErrors(t, Object.fromEntries(files), {
    skipLibCheck: true,
    noUnusedLocals: false,
    paths: { 'concord/client': [join(root, 'client/index.ts')] }
  })
  t.equal(errors, '')
})
