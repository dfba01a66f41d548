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
      `${packageJson.description}. Sign up and sign in under accounts, then authorize with the access token. ` +
      'Streams and sockets are described in [AsyncAPI](/docs/asyncapi.json).',
    license: { name: packageJson.license }
  },
  servers: [{ url: '/', description: 'this service' }],
  tags: [
    { name: 'accounts', description: 'Sign up, sign in and sign out; manage the current account' },
    { name: 'projects', description: 'Projects, which users share' },
    { name: 'members', description: 'The members of a project and their roles' },
    { name: 'checklists', description: 'The checklists of a project and their items' },
    { name: 'live', description: 'Events and changes as they are committed' },
    { name: 'client', description: 'The client library, which the service serves itself' },
    { name: 'page', description: 'The page for people, which the service serves itself' },
    { name: 'operations', description: 'For operators of the service' }
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
        description: 'the refresh token of a session, set by sign-in'
      }
    }
  }
}

// The descriptions of the refusals that every route can return. A route describes its own in its description.
const refusals: Record<string, string> = {
  400: 'The request is malformed: `FST_ERR_VALIDATION` names the field',
  401: 'Not signed in: no token or cookie, or one that is not valid',
  403: 'The token has expired, or the role does not allow this: see `code`',
  404: 'Not found, or not visible to this user: see `code`',
  409: 'Conflicts with the current state: see `code`',
  410: 'Deleted: see `code`',
  413: 'The body is too large',
  415: 'The body is not `application/json`',
  426: 'Not a WebSocket: connect with `ws://` or `wss://`',
  429: 'Too many requests: retry after the seconds in `Retry-After`',
  503: 'Overloaded, or the database cannot be reached: retry after the seconds in `Retry-After`'
}

interface OpenApi {
  components: object
  paths: Record<string, Record<string, Operation>>
}

interface Operation {
  parameters?: { required: boolean; schema: { default?: unknown } }[]
  responses: Record<string, { description: string }>
}

/** Adds the descriptions of refusals, and moves schemas with a title to `components.schemas`. */
function complete(openapi: OpenApi): OpenApi {
  for (const operation of Object.values(openapi.paths).flatMap(path => Object.values(path))) {
    for (const [status, response] of Object.entries(operation.responses)) {
      const isRefusal = response.description === ErrorBody.description
      if (isRefusal) response.description = refusals[status] ?? response.description
    }
    for (const parameter of operation.parameters ?? []) {
      // @fastify/swagger marks such a parameter as required, because the handler always receives a value.
      if (parameter.schema.default !== undefined) parameter.required = false
    }
  }
  const { document: paths, schemas } = extractNamedSchemas(openapi.paths)
  return { ...openapi, paths, components: { ...openapi.components, schemas } }
}

export default fp(docs, { name: 'swagger' })
