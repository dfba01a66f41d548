import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { extractNamedSchemas } from '../../lib/named-schemas.ts'
import packageJson from '../../package.json' with { type: 'json' }
import { ErrorBody } from '../../schemas/error.ts'

async function docs(app: FastifyInstance) {
  await app.register(swagger, {
    openapi,
    transformObject: made =>
      'openapiObject' in made ? complete(made.openapiObject as OpenApi) : made.swaggerObject
  })
  await app.register(swaggerUi, { routePrefix: '/docs', theme: { title: 'Concord API' } })
}

const openapi: FastifyDynamicSwaggerOptions['openapi'] = {
  openapi: '3.1.0',
  info: {
    title: 'Concord',
    version: packageJson.version,
    description:
      `${packageJson.description}. Sign up and in under accounts, then authorize with the access token. ` +
      'Streams and sockets in full: [AsyncAPI](/docs/asyncapi.json).',
    license: { name: packageJson.license }
  },
  servers: [{ url: '/', description: 'this service' }],
  tags: [
    { name: 'accounts', description: 'Signing up, in and out, and who one is' },
    { name: 'projects', description: 'What people share' },
    { name: 'members', description: 'Who is in a project, and what they may do there' },
    { name: 'checklists', description: 'What a project gets done' },
    { name: 'socket', description: 'What happens, as it happens' },
    { name: 'operations', description: 'For who runs the service' }
  ],
  components: {
    securitySchemes: {
      bearer: {
        type: 'http',
        scheme: 'bearer',
        bearerFormat: 'JWT',
        description: 'the access token of a session'
      },
      cookie: {
        type: 'apiKey',
        in: 'cookie',
        name: 'refresh',
        description: 'the refresh token of a session, which signing in sets'
      }
    }
  }
}

/** What a refusal means on every route; what is particular to one stands in its description. */
const refusals: Record<string, string> = {
  400: 'The request is malformed: `FST_ERR_VALIDATION` names the field',
  401: 'Not signed in: no token or cookie, or one that is not valid',
  403: 'The token has expired, or the role does not allow this: `code` tells which',
  404: 'Not there, or not for you: `code` tells what',
  409: 'In conflict with what is there: `code` tells what',
  410: 'Gone: `code` tells what',
  413: 'The body is too large',
  415: 'The body is not `application/json`',
  426: 'Not a WebSocket: connect with `ws://` or `wss://`',
  429: 'Too often: wait for the seconds of `Retry-After`',
  503: 'Busy, or the database is away: wait for the seconds of `Retry-After`'
}

/** The parts of an OpenAPI document that are looked at here. */
interface OpenApi {
  components: object
  paths: Record<string, Record<string, Operation>>
}

interface Operation {
  parameters?: { required: boolean; schema: { default?: unknown } }[]
  responses: Record<string, { description: string }>
}

/** Completes what @fastify/swagger makes of the routes. */
function complete(openapi: OpenApi): OpenApi {
  for (const operation of Object.values(openapi.paths).flatMap(path => Object.values(path))) {
    for (const [status, response] of Object.entries(operation.responses)) {
      const isRefusal = response.description === ErrorBody.description
      if (isRefusal) response.description = refusals[status] ?? response.description
    }
    for (const parameter of operation.parameters ?? []) {
      // Required of the handler; whoever asks may leave it out.
      if (parameter.schema.default !== undefined) parameter.required = false
    }
  }
  const { document: paths, schemas } = extractNamedSchemas(openapi.paths)
  return { ...openapi, paths, components: { ...openapi.components, schemas } }
}

export default fp(docs, { name: 'swagger' })
