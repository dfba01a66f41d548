import { extractNamedSchemas } from './named-schemas.ts'

interface Schema {
  description?: string
}

/** An address of the service. `sends` and `receives` contain the schemas of its messages, by name. */
export interface Channel {
  address: string
  summary: string
  description: string
  bindings: object
  sends: Record<string, Schema>
  receives?: Record<string, Schema>
}

/** Returns the channels, operations and components of an AsyncAPI 3.0 document for messages in JSON. */
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
        summary: `Messages that the service ${action}s on ${channel.address}`,
        messages: names.map(name => ({ $ref: `#/channels/${id}/messages/${action}.${name}` }))
      }
    }
    return [id, { ...about, messages }] as const
  })
  const { document, schemas } = extractNamedSchemas(
    JSON.parse(JSON.stringify(Object.fromEntries(described), discriminatorName))
  )
  return { channels: document, operations, components: { schemas } }
}

// AsyncAPI expects the name of the property. OpenAPI and Ajv expect an object.
function discriminatorName(key: string, value: { propertyName?: string }) {
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
