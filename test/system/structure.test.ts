import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import packageJson from '../../package.json' with { type: 'json' }

const root = join(import.meta.dirname, '../..')
const patterns = [
  '*.ts',
  '{plugins,routes,schemas,sql,lib,client,web,bin,bench,test}/**/*.{ts,tsx,js}',
  'lib/*.js'
]
const files = new Map(
  globSync(patterns, { cwd: root, exclude: ['**/node_modules/**'] }).map(path => [
    path,
    readFileSync(join(root, path), 'utf8')
  ])
)

/** The folders that the files of a folder may import. */
const allowed: Record<string, string[]> = {
  schemas: ['schemas'],
  lib: ['lib', 'schemas'],
  client: ['client', 'lib', 'schemas'],
  web: ['web', 'client', 'lib', 'schemas'],
  sql: ['sql', 'lib', 'schemas'],
  plugins: ['plugins', 'sql', 'lib', 'schemas'],
  routes: ['routes', 'sql', 'lib', 'schemas'],
  bin: ['bin', 'client', 'sql', 'lib', 'schemas', '.'],
  bench: ['bench', 'client', 'plugins', 'sql', 'lib', 'schemas', '.'],
  test: ['test', 'client', 'web', 'plugins', 'sql', 'lib', 'schemas', 'bin', '.'],
  '.': ['.', 'plugins', 'lib', 'schemas']
}

t.test('every folder imports only from the folders that it may use', async t => {
  for (const [path, text] of files) {
    for (const target of importsOf(path, text, /^(?:import|export) [^']*?from '(\.[^']+)'/gms)) {
      const [from, to] = [folderOf(path), folderOf(target)]
      t.ok(allowed[from]?.includes(to), `${path} imports ${target}`)
    }
  }
})

t.test('the service imports only packages of its dependencies', async t => {
  for (const [path, text] of files) {
    // `npm ci --omit=dev` installs what these folders need; the commands of `bin` are for developers.
    if (/^(test|bench|bin)\//.test(path)) continue
    for (const [, name = ''] of text.matchAll(PACKAGE)) {
      if (!name.startsWith('node:'))
        t.ok(name in packageJson.dependencies, `${path} imports ${name}`)
    }
  }
})

t.test('no imports are circular', async t => {
  const done = new Set<string>()
  for (const path of files.keys()) visit(path, [])

  function visit(path: string, trail: string[]) {
    if (trail.includes(path)) return t.fail(`circle: ${[...trail, path].join(' → ')}`)
    if (done.has(path)) return
    for (const target of importsOf(path, files.get(path) ?? '')) visit(target, [...trail, path])
    done.add(path)
  }
})

t.test('no two files of the service export the same name', async t => {
  const exporters = new Map<string, string[]>()
  for (const [path, text] of files) {
    // The public types of the client have the names of the schemas that they are the JSON of.
    if (/^(test|bench|bin|client|web)\//.test(path)) continue
    const names = [...text.matchAll(EXPORT)].map(([, name = '']) => name)
    for (const name of new Set(names)) exporters.set(name, [...(exporters.get(name) ?? []), path])
  }
  for (const [name, paths] of exporters) t.equal(paths.length, 1, `${name}: ${paths}`)
})

t.test('every plugin declares the plugins whose decorators it reads', async t => {
  const owners = new Map<string, string>()
  const plugins = [...files].filter(([path]) => path.startsWith('plugins/'))
  for (const [, text] of plugins) {
    for (const [, name = ''] of text.matchAll(/app\.decorate(?:Request)?\(\s*'(\w+)'/g))
      owners.set(name, pluginOf(text).name)
  }
  for (const [path, text] of plugins) {
    const { name, dependencies } = pluginOf(text)
    if (name === '') continue
    t.match(
      text,
      /\nexport default fp\(\w+, \{[^}]*\}\)\n$/,
      `${path} ends with export default fp(…)`
    )
    const read = new Set(withParts(path).flatMap(part => decoratorsOf(files.get(part) ?? '')))
    for (const decorator of read) {
      const owner = owners.get(decorator) ?? name
      t.ok(owner === name || dependencies.includes(owner), `${path} reads ${decorator} of ${owner}`)
    }
  }
})

/** An import at run time. A path after the name of the package is left out. */
const PACKAGE = /^(?:import|export) (?!type )[^']*?from '((?:@[\w-]+\/)?[a-z][\w.:-]*)/gms

const EXPORT =
  /^export (?:declare )?(?:async )?(?:const|let|function\*?|class|interface|type) (\w+)/gm

/** Returns the files of the project that a file imports, by default those that it imports at run time. */
function importsOf(
  path: string,
  text: string,
  pattern = /^(?:import|export) (?!type )[^']*?from '(\.[^']+)'/gms
): string[] {
  return [...text.matchAll(pattern)]
    .map(([, specifier = '']) => normalize(join(dirname(path), specifier)))
    .filter(target => files.has(target))
}

function folderOf(path: string): string {
  return path.includes('/') ? (path.split('/')[0] as string) : '.'
}

function pluginOf(text: string): { name: string; dependencies: string[] } {
  const [, options = ''] = /export default fp\(\w+, (\{[^}]*\})\)/.exec(text) ?? []
  const [head = '', tail = ''] = options.split('dependencies')
  return {
    name: /name: '([\w-]+)'/.exec(head)?.[1] ?? '',
    dependencies: [...tail.matchAll(/'([\w-]+)'/g)].map(([, name = '']) => name)
  }
}

/** Returns the file of a plugin, and the files of its folder that it imports and that are not plugins. */
function withParts(path: string): string[] {
  const parts = new Set([path])
  for (const part of parts) {
    for (const target of importsOf(part, files.get(part) ?? '')) {
      const isPart = dirname(target) === dirname(path)
      if (isPart && pluginOf(files.get(target) ?? '').name === '') parts.add(target)
    }
  }
  return [...parts]
}

/** Returns the properties of the Fastify instance that a file reads. */
function decoratorsOf(text: string): string[] {
  const direct = [...text.matchAll(/\bapp\.(\w+)/g)].map(([, name = '']) => name)
  const lists = [
    ...text.matchAll(/const \{([^}]*)\} = app\b/g),
    ...text.matchAll(/Pick<\s*FastifyInstance,([^>]*)>/g)
  ]
  const listed = lists.flatMap(([, list = '']) => list.match(/\w+/g) ?? [])
  return [...direct, ...listed]
}
