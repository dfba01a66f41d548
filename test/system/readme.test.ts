import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { Environment } from '../../schemas/config.ts'

const root = join(import.meta.dirname, '../..')
const read = (name: string) => readFileSync(join(root, name), 'utf8')
const readme = read('README.md')
const docs = readdirSync(join(root, 'docs')).filter(name => name.endsWith('.md'))
const pages = [
  ...['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
  ...docs.map(name => `docs/${name}`)
]
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

t.test('.env.example contains the default values of the service', async t => {
  for (const { name, fallback = '' } of variables) {
    const [, value] = new RegExp(`^#${name}=(.*)$`, 'm').exec(read('.env.example')) ?? []
    if (fallback !== '') t.equal(value, String(fallback), name)
  }
})

t.test('the README names every npm script', async t => {
  const named = [...readme.matchAll(/npm run (?:-s )?([a-z]+)/g)].map(([, name]) => name)
  const known = Object.keys(scripts).filter(
    name => !['start', 'test', 'prepare', 'prepack'].includes(name)
  )
  t.strictSame([...new Set(named)].sort(), known.sort())
})

t.test('every link and every file named in the documentation exists', async t => {
  for (const page of pages) {
    const text = read(page)
    const links = [...text.matchAll(/\]\((?!http)([^)]+)\)/g)].map(([, link = '']) => link)
    for (const link of new Set(links)) {
      const [path = '', anchor] = link.split('#')
      const file = path === '' ? page : join(dirname(page), path)
      t.ok(existsSync(join(root, file)), `${page}: ${link}`)
      if (anchor !== undefined) t.ok(anchorsOf(read(file)).includes(anchor), `${page}: ${link}`)
    }
    const files = [...text.matchAll(/\b(?:[\w-]+\/)+[\w.-]+\.(?:ts|sql)\b/g)].map(([path]) => path)
    for (const file of new Set(files)) t.ok(existsSync(join(root, file)), `${page}: ${file}`)
  }
})

/** Returns the anchors that GitHub gives to the headings of a page. */
function anchorsOf(text: string): string[] {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading)
  return headings.map(heading =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-')
  )
}
