import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { publint } from 'publint'
import t from 'tap'
import packageJson from '../../package.json' with { type: 'json' }
import { typeErrors } from '../support/type-check.ts'

const root = join(import.meta.dirname, '../..')
const maximumGzipBytes = 40_000

// The folder of a program that has installed the package. The whole installation would include the service.
const folder = t.testdir({ 'package.json': '{ "type": "module" }' })
const installed = join(folder, 'node_modules/concord')
const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', folder], {
  cwd: root,
  encoding: 'utf8'
})
const [{ filename, files }] = JSON.parse(packed.slice(packed.search(/^\[$/m)))
const tarball = join(folder, filename)
mkdirSync(installed, { recursive: true })
execFileSync('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1'])
symlinkSync(
  join(root, 'node_modules/eventsource-parser'),
  join(folder, 'node_modules/eventsource-parser')
)

t.test('the package contains only the client', async t => {
  const paths = files.map(({ path }: { path: string }) => path).sort()
  t.strictSame(paths, [
    'LICENSE',
    'README.md',
    'dist/client/index.d.ts',
    'dist/client/index.js',
    'package.json'
  ])
  const code = readFileSync(join(installed, 'dist/client/index.js'), 'utf8')
  const imports = [...code.matchAll(/^(?:import|export) .* from "([^"]+)"/gm)].map(
    ([, name]) => name
  )
  t.strictSame(imports, ['eventsource-parser'])
  t.notMatch(code, /\brequire\(|import\(/)
})

t.test('the installation of the package runs no script', async t => {
  const { scripts } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
  for (const name of ['preinstall', 'install', 'postinstall']) t.notOk(scripts[name], name)
})

t.test('publint has no remark about the package', async t => {
  const { messages } = await publint({ pkgDir: installed, strict: true, pack: false })
  t.strictSame(messages, [])
})

t.test('the types of the package are found by all compilers that support ES modules', async t => {
  const attw = join(root, 'node_modules/.bin/attw')
  const { status, stdout } = spawnSync(attw, [tarball, '--profile', 'esm-only', '--no-color'], {
    encoding: 'utf8'
  })
  t.equal(status, 0, stdout)
})

const program = `
  import { ConcordError, createClient, memoryStorage, version } from 'concord/client'

  const client = createClient('http://127.0.0.1:9', { storage: memoryStorage() })
  const error = await client.signIn({ email: 'ann@example.com', password: 'x' }).catch(error => error)
  await client.close()
  console.log(version, error instanceof ConcordError, error.code)
`

// The Node that runs npm. The tests themselves run on the Node in node_modules.
const host = process.env.npm_node_execpath ?? '/usr/bin/node'
const nodes = new Set([process.execPath, host].filter(existsSync))

for (const node of nodes) {
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
  t.test(`a program that uses the package runs on Node ${version}`, async t => {
    const { stdout, stderr, status } = spawnSync(node, ['--input-type=module', '-e', program], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 30_000
    })
    t.equal(stderr, '')
    t.equal(stdout, `${packageJson.version} true NETWORK\n`)
    t.equal(status, 0, 'it ends when the client is closed')
  })
}

t.test(`the package is at most ${maximumGzipBytes} bytes in a page, compressed`, async t => {
  const bundle = async (code: string) => {
    const { outputFiles } = await build({
      stdin: { contents: code, resolveDir: folder },
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'browser',
      target: 'es2022',
      logLevel: 'error',
      write: false
    })
    return gzipSync(outputFiles.map(({ text }) => text).join(''), { level: 9 }).length
  }
  const size = await bundle("export * from 'concord/client'")
  t.comment(`${size} bytes`)
  t.ok(size <= maximumGzipBytes, `${size} bytes`)
  t.ok((await bundle("import 'concord/client'")) < 50, 'what is not used is left out')
})

t.test('the types of the package need no other package', async t => {
  const types = readFileSync(join(installed, 'dist/client/index.d.ts'), 'utf8')
  t.notMatch(types, /^import|\bimport\(|<reference|node:/m)
  const code = readFileSync(join(root, 'test/client/types.ts'), 'utf8')
  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler']
  ] as const) {
    const errors = typeErrors(
      t,
      {
        'program.ts': code.replace('../../client/index.ts', 'concord/client'),
        node_modules: { concord: t.fixture('symlink', installed) }
      },
      { module, moduleResolution, rewriteRelativeImportExtensions: false }
    )
    t.equal(errors, '', moduleResolution)
  }
})
