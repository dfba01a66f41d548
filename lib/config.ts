import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { Environment } from '../schemas/config.ts'
import { CLOCK_SKEW_SECONDS } from './clock.ts'
import { createValidator } from './validation.ts'

export type Config = ReturnType<typeof readConfig>

/** How to connect to NATS. */
export interface NatsOptions {
  /** host and port of each server of one cluster */
  servers: readonly string[]
  user?: string
  password?: string
  isEncrypted: boolean
  /** content of a credentials file */
  credentials?: string
}

/**
 * Returns the configuration as a frozen object. `source` replaces `process.env` and the file `.env`. Throws an Error
 * when a variable is invalid; its message is one sentence that names the variable.
 */
export function readConfig(source?: NodeJS.ProcessEnv) {
  const env = readEnvironment(source)
  if (env.LISTEN_URL && !env.DATABASE_URL) {
    throw new Error('LISTEN_URL needs DATABASE_URL: set both, or neither')
  }
  if (env.RETENTION_DAYS * DAY_SECONDS < env.ACCESS_TOKEN_TTL + CLOCK_SKEW_SECONDS) {
    // A starting node reads the ended sessions from the log, which must keep them while their tokens are valid.
    throw new Error(
      `RETENTION_DAYS must not be shorter than ACCESS_TOKEN_TTL plus ${CLOCK_SKEW_SECONDS} s: otherwise access tokens of ended sessions would be accepted again`
    )
  }
  if (env.DATABASE_URL && env.JWT_SECRET === undefined) {
    throw new Error(
      'JWT_SECRET is required with DATABASE_URL: set it to 32 random characters or more, the same on every node'
    )
  }
  if (env.NATS_URL && !env.DATABASE_URL) {
    throw new Error('NATS_URL needs DATABASE_URL: an embedded database has only one node')
  }
  if (env.NATS_CREDS && !env.NATS_URL) throw new Error('NATS_CREDS needs NATS_URL')
  return Object.freeze({
    port: env.PORT,
    host: env.HOST,
    databaseUrl: env.DATABASE_URL,
    listenUrl: env.LISTEN_URL,
    dataDir: resolve(env.DATA_DIR),
    /** Undefined when JWT_SECRET is not set: the service then creates a secret in `dataDir` at its first start. */
    jwtSecrets: env.JWT_SECRET === undefined ? undefined : Object.freeze(secrets(env.JWT_SECRET)),
    accessTokenTtl: env.ACCESS_TOKEN_TTL,
    refreshTokenTtl: env.REFRESH_TOKEN_TTL,
    sessionMaxAge: env.SESSION_MAX_AGE,
    refreshGrace: env.REFRESH_GRACE,
    passwordMinLength: env.PASSWORD_MIN_LENGTH,
    allowedOrigins: Object.freeze(origins(env.ALLOWED_ORIGINS)),
    trustProxy: trustProxy(env.TRUST_PROXY),
    rateLimit: env.RATE_LIMIT === 'on',
    logLevel: env.LOG_LEVEL,
    retentionDays: env.RETENTION_DAYS,
    web: env.WEB === 'on',
    /** Processes that serve clients. With more than one, a primary starts them, and this number is in all of them. */
    workers: workers(env.WORKERS),
    nats: nats(env),
    /** Undefined when tracing is off. */
    tracing: tracing(env)
  })
}

function tracing(env: Environment) {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } = env
  if (endpoint === undefined) return
  return Object.freeze({
    endpoint,
    serviceName: env.OTEL_SERVICE_NAME,
    ratio: env.OTEL_TRACES_SAMPLER_ARG
  })
}

const DAY_SECONDS = 86_400

// An environment arrives as text, like the parameters of a request.
const validate = createValidator(Environment, 'params')

function readEnvironment(source?: NodeJS.ProcessEnv): Environment {
  const set = Object.fromEntries(
    Object.entries(source ?? process.env).filter(([, value]) => value !== '')
  )
  const env = source ? set : { ...readFileOfVariables(), ...set }
  if (validate(env)) return env as unknown as Environment
  const [error] = validate.errors ?? []
  const name = error?.instancePath.slice(1) as keyof typeof Environment.properties
  const { description } = Environment.properties[name]
  throw new Error(`${name} ${error?.message} (${description})`)
}

/** Returns the variables in the file `.env` of the current folder. */
function readFileOfVariables(): NodeJS.Dict<string> {
  return existsSync('.env') ? parseEnv(readFileSync('.env', 'utf8')) : {}
}

function entries(name: keyof Environment, value: string): string[] {
  if (value === '') return []
  const list = value.split(',').map(entry => entry.trim())
  // The usual cause is a script that joins variables of which one is not set.
  if (list.includes('')) throw new Error(`${name} has an empty entry: remove the comma beside it`)
  return list
}

function secrets(value: string): string[] {
  const list = entries('JWT_SECRET', value)
  if (list.every(secret => [...secret].length >= MIN_SECRET_LENGTH)) return list
  throw new Error(`JWT_SECRET must contain secrets of ${MIN_SECRET_LENGTH} characters or more`)
}

const MIN_SECRET_LENGTH = 32

function origins(value: string): string[] {
  const list = entries('ALLOWED_ORIGINS', value)
  const bad = list.find(origin => !URL.canParse(origin) || new URL(origin).origin !== origin)
  if (bad === undefined) return list
  throw new Error(
    `ALLOWED_ORIGINS must list exact origins such as https://app.example.com: "${bad}" is not one`
  )
}

function workers(value: string): number {
  if (value === 'auto') return Math.min(availableParallelism(), MAX_WORKERS)
  if (/^[1-9]\d?$/.test(value) && Number(value) <= MAX_WORKERS) return Number(value)
  throw new Error(
    `WORKERS must be auto or a number from 1 to ${MAX_WORKERS}: "${value}" is neither`
  )
}

// Two workers for each core of a large server. Each worker has six connections to the database or more.
const MAX_WORKERS = 64

/** Returns how to connect to NATS. Undefined when NATS_URL is not set. */
function nats({ NATS_URL = '', NATS_CREDS }: Environment): NatsOptions | undefined {
  const urls = entries('NATS_URL', NATS_URL).map(entry => {
    if (/^(nats|tls):\/\/./.test(entry) && URL.canParse(entry)) return new URL(entry)
    throw new Error(
      'NATS_URL must list servers of one cluster, such as nats://user:password@10.0.0.1:4222 or tls://host:4222'
    )
  })
  const [first] = urls
  if (!first) return
  const { protocol, username, password } = first
  return Object.freeze({
    servers: Object.freeze(urls.map(({ host }) => host)),
    user: username === '' ? undefined : decodeURIComponent(username),
    password: decodeURIComponent(password),
    isEncrypted: protocol === 'tls:',
    credentials: NATS_CREDS && readCredentials(NATS_CREDS)
  })
}

function readCredentials(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`NATS_CREDS: the file cannot be read: ${(error as Error).message}`)
  }
}

function trustProxy(value: string): boolean | string[] {
  if (value === 'true' || value === 'false') return value === 'true'
  const ranges = entries('TRUST_PROXY', value)
  if (ranges.every(isRange)) return ranges
  // Fastify also accepts text that is a number of hops, but then trusts no proxy and reports no error.
  throw new Error(
    `TRUST_PROXY must be true, false or the addresses of the proxies, such as 10.0.0.0/8: "${value}" is not valid`
  )
}

function isRange(range: string): boolean {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(range)) return true
  const [address = '', bits = '0', ...rest] = range.split('/')
  const most = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  return rest.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= most
}
