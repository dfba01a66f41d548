import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type TSchema, Type } from '@sinclair/typebox'
import { describeChannels } from '../../lib/asyncapi.ts'
import packageJson from '../../package.json' with { type: 'json' }
import { FeedHeaders, FeedQuery } from '../../schemas/event.ts'
import { FeedEvents } from '../../schemas/feed-events.ts'
import { ClientMessage, ServerMessage } from '../../schemas/live.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  app.route({
    method: 'GET',
    url: '/asyncapi.json',
    schema: {
      tags: ['live'],
      summary: 'Get the description of streams and sockets',
      description:
        'An AsyncAPI 3.0 document of all events of `GET /events` and all messages of `GET /live`.',
      response: {
        200: Type.Object({}, { additionalProperties: true, description: 'The AsyncAPI document' })
      }
    },
    handler: async ({ host, protocol }) => {
      const isSecure = protocol === 'https'
      const server = { host, security }
      return {
        ...document,
        servers: {
          http: { ...server, protocol: isSecure ? 'https' : 'http' },
          ws: { ...server, protocol: isSecure ? 'wss' : 'ws' }
        }
      }
    }
  })
}

export default routes

const security = [
  { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'the access token' },
  { type: 'httpApiKey', in: 'cookie', name: 'refresh', description: 'the refresh token' }
]

const document = {
  asyncapi: '3.0.0',
  info: {
    title: 'Concord, live',
    version: packageJson.version,
    description: `${packageJson.description}. Requests and responses: [OpenAPI](/docs).`,
    license: { name: packageJson.license }
  },
  defaultContentType: 'application/json',
  ...describeChannels({
    events: {
      address: '/events',
      summary: 'Events of the current user',
      description:
        'Server-Sent Events: `event` is the name of the message, `data` its payload, `id` the cursor to resume ' +
        'after. All events are sent in commit order and each once; `reset` is sent when events are missing.',
      bindings: { http: { query: FeedQuery, headers: FeedHeaders } },
      sends: FeedEvents
    },
    live: {
      address: '/live',
      summary: 'Live editing of checklists',
      description:
        'A WebSocket for JSON text frames, one message per frame. Close codes: 4400 too many bad frames, ' +
        '4401 token expired, 4403 session ended, 4408 client too slow, 4429 too many frames, 1001 and 1012 ' +
        'restart of the service. Reconnect after all of them except 4403.',
      bindings: { ws: { method: 'GET' } },
      sends: byType(ServerMessage),
      receives: byType(ClientMessage)
    }
  })
}

/** Returns the members of a union by their `type`. */
function byType(union: TSchema): Record<string, TSchema> {
  const members: TSchema[] = union.oneOf
  return Object.fromEntries(members.map(member => [member.properties.type.const, member]))
}
