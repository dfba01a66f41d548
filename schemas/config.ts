import { type Static, Type } from '@sinclair/typebox'

const Seconds = (fallback: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 2_147_483, default: fallback, description })

/** The environment, one property a variable. The README's table is checked against it. */
export const Environment = Type.Object({
  PORT: Type.Integer({
    minimum: 0,
    maximum: 65535,
    default: 3000,
    description: 'port to listen on; 0 takes a free one'
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
        'direct DSN of the LISTEN connection, for databases behind a pooler; without it DATABASE_URL'
    })
  ),
  DATA_DIR: Type.String({
    minLength: 1,
    default: './.data',
    description: 'folder of the embedded database and of what is made once'
  }),
  JWT_SECRET: Type.Optional(
    Type.String({
      description:
        'ring of secrets of 32 characters or more, comma-separated: the first signs, all verify; required with DATABASE_URL, else made once and kept in DATA_DIR'
    })
  ),
  ACCESS_TOKEN_TTL: Seconds(900, 'life of an access token, seconds'),
  REFRESH_TOKEN_TTL: Seconds(604_800, 'life of a refresh token and of its cookie, seconds'),
  SESSION_MAX_AGE: Type.Integer({
    minimum: 1,
    maximum: 315_360_000,
    default: 2_592_000,
    description: 'absolute life of a session, seconds'
  }),
  REFRESH_GRACE: Type.Integer({
    minimum: 0,
    maximum: 3600,
    default: 30,
    description: 'seconds in which the predecessor of a rotated refresh token still answers'
  }),
  PASSWORD_MIN_LENGTH: Type.Integer({
    minimum: 1,
    maximum: 128,
    default: 7,
    description: 'shortest password, in code points; raise it for a public service'
  }),
  ALLOWED_ORIGINS: Type.String({
    default: '',
    description:
      'exact origins, comma-separated, for CORS, CSRF and WebSocket; none means same origin only'
  }),
  TRUST_PROXY: Type.String({
    default: 'false',
    description: "Fastify's trustProxy: true, false, or the addresses of the proxies"
  }),
  RATE_LIMIT: Type.Union([Type.Literal('on'), Type.Literal('off')], {
    default: 'on',
    description: 'off for load tests'
  }),
  LOG_LEVEL: Type.Union(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map(level =>
      Type.Literal(level)
    ),
    { default: 'info', description: 'level of the log' }
  ),
  RETENTION_DAYS: Type.Integer({
    minimum: 1,
    maximum: 3650,
    default: 7,
    description: 'age after which events may be dropped, days; not shorter than ACCESS_TOKEN_TTL'
  })
})
export type Environment = Static<typeof Environment>
