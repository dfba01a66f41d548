import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import Fastify from 'fastify'
import t from 'tap'
import { type Config, readConfig } from '../../lib/config.ts'
import keys from '../../plugins/auth/keys.ts'
import configuration from '../../plugins/config.ts'
import { Environment } from '../../schemas/config.ts'

const secret = 'x'.repeat(32)
const external = { DATABASE_URL: 'postgres://localhost/concord', JWT_SECRET: secret }

t.test('the configuration has the expected defaults and is frozen', async t => {
  const config = readConfig(external)
  t.match(config, {
    port: 3000,
    host: '127.0.0.1',
    accessTokenTtl: 900,
    refreshTokenTtl: 604_800,
    sessionMaxAge: 2_592_000,
    refreshGrace: 30,
    passwordMinLength: 7,
    allowedOrigins: [],
    trustProxy: false,
    rateLimit: true,
    logLevel: 'info',
    retentionDays: 7
  })
  t.ok(Object.isFrozen(config))
  t.ok(Object.isFrozen(config.jwtSecrets))
})

t.test('an invalid environment variable throws an error that names it', async t => {
  const bad: Record<string, string[]> = {
    PORT: ['http', '-1', '65536', '3000.5'],
    DATABASE_URL: ['localhost', 'mysql://localhost'],
    LISTEN_URL: ['localhost'],
    JWT_SECRET: [
      'short',
      `${secret},short`,
      `${secret},`,
      `,${secret}`,
      ' '.repeat(40),
      `${'x'.repeat(31)} `
    ],
    ACCESS_TOKEN_TTL: ['0', '15m'],
    REFRESH_TOKEN_TTL: ['0', 'week'],
    SESSION_MAX_AGE: ['0'],
    REFRESH_GRACE: ['-1', '3601'],
    PASSWORD_MIN_LENGTH: ['0', '129'],
    ALLOWED_ORIGINS: [
      '*',
      'example.com',
      'https://example.com/',
      'https://a.example,null',
      'https://a.example,'
    ],
    TRUST_PROXY: ['1', 'yes', '10.0.0.0/33', '10.0.0.0/8/8', 'fe80::/129', '10.0.0.1,'],
    NATS_URL: ['localhost', 'http://localhost', 'nats://', 'nats://a,'],
    RATE_LIMIT: ['maybe'],
    LOG_LEVEL: ['loud'],
    RETENTION_DAYS: ['0', 'x']
  }
  for (const [name, values] of Object.entries(bad)) {
    for (const value of values) {
      const read = () => readConfig({ ...external, [name]: value })
      t.throws(read, { message: new RegExp(`^${name} [^\\n]+$`) }, `${name}=${value}`)
    }
  }
})

t.test('RETENTION_DAYS shorter than ACCESS_TOKEN_TTL throws an error', async t => {
  const read = (ACCESS_TOKEN_TTL: number, RETENTION_DAYS: number) =>
    readConfig({
      ...external,
      ACCESS_TOKEN_TTL: String(ACCESS_TOKEN_TTL),
      RETENTION_DAYS: String(RETENTION_DAYS)
    })
  const day = 86_400
  // The clocks of nodes may differ by 60 s.
  t.equal(read(day - 60, 1).retentionDays, 1)
  t.throws(() => read(day - 59, 1), { message: /^RETENTION_DAYS [^\n]+$/ })
  t.throws(() => read(2_147_483, 24), { message: /^RETENTION_DAYS / })
  t.equal(read(2_147_483, 25).accessTokenTtl, 2_147_483)
})

t.test('REFRESH_TOKEN_TTL and SESSION_MAX_AGE may be a few seconds', async t => {
  const lives = { ACCESS_TOKEN_TTL: '900', REFRESH_TOKEN_TTL: '2', SESSION_MAX_AGE: '1' }
  t.match(readConfig({ ...external, ...lives, REFRESH_GRACE: '30' }), { refreshTokenTtl: 2 })
})

t.test('an error about JWT_SECRET does not contain the secret', async t => {
  for (const JWT_SECRET of ['hunter2', `${secret},hunter2`, `hunter2${secret},`]) {
    t.throws(() => readConfig({ ...external, JWT_SECRET }), { message: /^(?!.*hunter2)/ })
  }
})

t.test('an empty environment variable counts as unset', async t => {
  t.equal(readConfig({ ...external, PORT: '' }).port, 3000)
})

t.test('lists of secrets, origins and proxies are split and trimmed', async t => {
  const config = readConfig({
    ...external,
    JWT_SECRET: ` ${secret}, ${'y'.repeat(40)} `,
    ALLOWED_ORIGINS: 'https://app.example.com, http://localhost:5173',
    TRUST_PROXY: 'loopback, 10.0.0.0/8, ::1'
  })
  t.strictSame(config.jwtSecrets, [secret, 'y'.repeat(40)])
  t.strictSame(config.allowedOrigins, ['https://app.example.com', 'http://localhost:5173'])
  t.strictSame(config.trustProxy, ['loopback', '10.0.0.0/8', '::1'])
  t.equal(readConfig({ ...external, TRUST_PROXY: 'true' }).trustProxy, true)
})

t.test('a variable that needs another one is refused without it', async t => {
  t.throws(() => readConfig({ DATABASE_URL: external.DATABASE_URL }), /^JWT_SECRET/)
  t.throws(() => readConfig({ LISTEN_URL: external.DATABASE_URL }), /^LISTEN_URL/)
  t.throws(() => readConfig({ NATS_URL: 'nats://127.0.0.1' }), /^NATS_URL needs DATABASE_URL/)
  t.throws(() => readConfig({ ...external, NATS_CREDS: '/x' }), /^NATS_CREDS needs NATS_URL/)
})

t.test('NATS_URL is a list of servers with one user', async t => {
  const NATS_URL = 'tls://ann:a%20b@one:4223, tls://two'
  const { nats } = readConfig({ ...external, NATS_URL })
  t.match(nats, { servers: ['one:4223', 'two'], user: 'ann', password: 'a b', isEncrypted: true })
  t.equal(readConfig(external).nats, undefined)
})

t.test('without DATABASE_URL a secret is generated once, in a private file', async t => {
  const DATA_DIR = join(t.testdir({}), 'data')
  const config = readConfig({ DATA_DIR })
  t.equal(existsSync(DATA_DIR), false, 'reading the configuration creates nothing')
  const created = await keysOf(config)
  const file = join(DATA_DIR, 'jwt-secret')
  t.match(await readFile(file, 'utf8'), /^[\w-]{64}$/)
  t.equal((await stat(file)).mode & 0o777, 0o600)
  t.strictSame(await keysOf(config), created, 'the next start reads it')
})

t.test('.env.example contains every environment variable', async t => {
  const example = await readFile(join(import.meta.dirname, '../../.env.example'), 'utf8')
  const named = [...example.matchAll(/^#([A-Z_]+)=/gm)].map(([, name]) => name)
  t.strictSame(named.sort(), Object.keys(Environment.properties).sort())
})

async function keysOf(config: Config) {
  const app = Fastify()
  await app.register(configuration, { config })
  await app.register(keys)
  return app.keys
}
