import { type Static, Type } from '@sinclair/typebox'

const Seconds = (fallback: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 2_147_483, default: fallback, description })

/** The environment variables. A test compares the table in the README with this schema. */
export const Environment = Type.Object({
  PORT: Type.Integer({
    minimum: 0,
    maximum: 65535,
    default: 3000,
    description: 'port to listen on; 0 for any free port'
  }),
  HOST: Type.String({ minLength: 1, default: '127.0.0.1', description: 'address to listen on' }),
  DATABASE_URL: Type.Optional(
    Type.String({
      pattern: '^postgres(ql)?://',
      description: 'PostgreSQL 15 or newer; without it an embedded PostgreSQL 18 is started'
    })
  ),
  LISTEN_URL: Type.Optional(
    Type.String({
      pattern: '^postgres(ql)?://',
      description:
        'direct URL of the database for LISTEN, when DATABASE_URL is a pooler; default DATABASE_URL'
    })
  ),
  DATA_DIR: Type.String({
    minLength: 1,
    default: './.data',
    description: 'folder of the embedded database and of the generated secret'
  }),
  JWT_SECRET: Type.Optional(
    Type.String({
      description:
        'secrets of 32 characters or more, comma-separated: the first one signs tokens, all of them verify; required with DATABASE_URL, otherwise generated once and stored in DATA_DIR'
    })
  ),
  ACCESS_TOKEN_TTL: Seconds(900, 'lifetime of an access token, in seconds'),
  REFRESH_TOKEN_TTL: Seconds(604_800, 'lifetime of a refresh token and of its cookie, in seconds'),
  SESSION_MAX_AGE: Type.Integer({
    minimum: 1,
    maximum: 315_360_000,
    default: 2_592_000,
    description: 'maximum lifetime of a session, in seconds'
  }),
  REFRESH_GRACE: Type.Integer({
    minimum: 0,
    maximum: 3600,
    default: 30,
    description: 'seconds for which a refresh token is still accepted after it was rotated'
  }),
  PASSWORD_MIN_LENGTH: Type.Integer({
    minimum: 1,
    maximum: 128,
    default: 7,
    description: 'minimum length of a password, in characters; raise it for a public service'
  }),
  ALLOWED_ORIGINS: Type.String({
    default: '',
    description:
      'origins that browsers may send requests from (CORS, CSRF, WebSocket), comma-separated; default same origin only'
  }),
  TRUST_PROXY: Type.String({
    default: 'false',
    description: "Fastify's trustProxy: true, false, or the addresses of the proxies"
  }),
  RATE_LIMIT: Type.Union([Type.Literal('on'), Type.Literal('off')], {
    default: 'on',
    description: 'off disables all rate limits, for load tests'
  }),
  LOG_LEVEL: Type.Union(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map(level =>
      Type.Literal(level)
    ),
    { default: 'info', description: 'lowest level that is logged' }
  ),
  RETENTION_DAYS: Type.Integer({
    minimum: 1,
    maximum: 3650,
    default: 7,
    description: 'age at which events may be deleted, in days; not shorter than ACCESS_TOKEN_TTL'
  }),
  WEB: Type.Union([Type.Literal('on'), Type.Literal('off')], {
    default: 'on',
    description: 'off serves neither the page at / nor the client library at /client.js'
  }),
  WORKERS: Type.String({
    default: '1',
    description: 'processes that serve clients, 1 to 64; auto: one for each core'
  }),
  NATS_URL: Type.Optional(
    Type.String({
      description:
        'servers of a NATS cluster, comma-separated: one node reads the log and the others receive it from NATS; nats://[user:password@]host:port, or tls://'
    })
  ),
  NATS_CREDS: Type.Optional(
    Type.String({ description: 'path of a NATS credentials file; read at the start' })
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    Type.String({
      pattern: '^https?://',
      description:
        'OTLP/HTTP receiver of traces, such as http://127.0.0.1:4318; without it, tracing is off'
    })
  ),
  OTEL_SERVICE_NAME: Type.String({
    minLength: 1,
    default: 'concord',
    description: 'name of the service in traces'
  }),
  OTEL_TRACES_SAMPLER_ARG: Type.Number({
    minimum: 0,
    maximum: 1,
    default: 1,
    description: 'part of the requests that are traced, from 0 to 1'
  })
})
export type Environment = Static<typeof Environment>
