import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Environment } from '../../schemas/config.ts'

const root = join(import.meta.dirname, '../..')
const read = (name: string) => readFileSync(join(root, name), 'utf8')
const readme = read('README.md')
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }

const variables = Object.entries(Environment.properties).map(
  ([name, { default: fallback, description }]) => ({ name, fallback, description })
)

t.test('the README lists every environment variable of the service', async t => {
  const rows = [...readme.matchAll(/^\| `([A-Z_]+)` \| (.*?) \| (.*) \|$/gm)]
  t.strictSame(
    rows.map(([, name, fallback, meaning]) => ({ name, fallback, meaning })),
    variables.map(({ name, fallback, description }) => ({
      name,
      fallback: fallback === undefined || fallback === '' ? 'none' : `\`${fallback}\``,
      meaning: description
    }))
  )
})

t.test('.env.example contains the defaults of the service', async t => {
  for (const { name, fallback = '' } of variables) {
    const [, value] = new RegExp(`^#${name}=(.*)$`, 'm').exec(read('.env.example')) ?? []
    if (fallback !== '') t.equal(value, String(fallback), name)
  }
})

t.test('the README names every npm script', async t => {
  const named = [...readme.matchAll(/npm run (?:-s )?([a-z]+)/g)].map(([, name]) => name)
  const known = Object.keys(scripts).filter(
    name => !['start', 'test', 'postinstall'].includes(name)
  )
  t.strictSame([...new Set(named)].sort(), known.sort())
})

t.test('every file and link that the README names exists', async t => {
  const links = [...readme.matchAll(/\]\((?!http)([^)]+)\)/g)].map(([, path = '']) => path)
  const files = [...readme.matchAll(/\b(?:[\w-]+\/)*[\w.-]+\.(?:ts|sql)\b/g)].map(([path]) => path)
  for (const path of new Set([...links, ...files])) t.ok(existsSync(join(root, path)), path)
})
