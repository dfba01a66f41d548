import { nameSchemas } from './named-schemas.ts'

/** A JSON schema as TypeBox makes it. */
interface Schema {
  description?: string
}

/** One address where messages go, by name and seen from the service. */
export interface Channel {
  address: string
  summary: string
  description: string
  bindings: object
  sends: Record<string, Schema>
  receives?: Record<string, Schema>
}

/** The channels, operations and components of an AsyncAPI 3.0 document; messages are JSON. */
export function describeChannels(channels: Record<string, Channel>) {
  const operations: Record<string, object> = {}
  const described = Object.entries(channels).map(([id, channel]) => {
    const { sends, receives = {}, ...about } = channel
    const messages: Record<string, object> = {}
    for (const [action, schemas] of Object.entries({ send: sends, receive: receives })) {
      const names = Object.keys(schemas)
      if (names.length === 0) continue
      for (const name of names) messages[`${action}.${name}`] = message(name, schemas[name])
      operations[`${id}.${action}`] = {
        action,
        channel: { $ref: `#/channels/${id}` },
        summary: `What the service ${action}s on ${channel.address}`,
        messages: names.map(name => ({ $ref: `#/channels/${id}/messages/${action}.${name}` }))
      }
    }
    return [id, { ...about, messages }] as const
  })
  const { document, schemas } = nameSchemas(
    JSON.parse(JSON.stringify(Object.fromEntries(described), discriminatorByName))
  )
  return { channels: document, operations, components: { schemas } }
}

/** OpenAPI and Ajv have an object where AsyncAPI has the name alone. */
function discriminatorByName(key: string, value: { propertyName?: string }) {
  return key === 'discriminator' ? value.propertyName : value
}

function message(name: string, schema: Schema = {}) {
  return {
    name,
    summary: schema.description,
    contentType: 'application/json',
    payload: schema
  }
}
