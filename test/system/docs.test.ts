import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { build } from '../support/app.ts'

interface Operation {
  tags: string[]
  summary?: string
  description?: string
  security?: object[]
  parameters?: Parameter[]
  requestBody?: { content: Record<string, { schema: Schema }> }
  responses: Record<string, { description: string; content?: Record<string, { schema: Schema }> }>
}

interface Parameter {
  in: string
  name: string
  required: boolean
  description?: string
  example?: unknown
}

interface Schema {
  $ref?: string
  description?: string
  examples?: unknown[]
  type?: string | string[]
  properties?: Record<string, Schema>
  items?: Schema
  oneOf?: Schema[]
}

const app = await build(t, { WEB: 'on' })
const { paths, tags, components, ...info } = (await app.inject('/docs/json')).json()
const operations = Object.entries(paths as Record<string, Record<string, Operation>>).flatMap(
  ([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      path,
      method,
      ...operation
    }))
)

t.test('the OpenAPI document is valid OpenAPI 3.1', async t => {
  const { valid, errors } = await new Validator().validate({ paths, tags, components, ...info })
  t.ok(valid, JSON.stringify(errors))
  t.match(info.openapi, /^3\.1\./)
})

t.test('every route of the service is documented', async t => {
  const documented = new Set(operations.map(({ name }) => name.replace(/{(\w+)}/g, ':$1')))
  const hidden = /^\/(docs|\*|$)/
  for (const { method, url } of routesOf(app.printRoutes({ commonPrefix: false }))) {
    if (method === 'HEAD' || method === 'OPTIONS' || hidden.test(url)) continue
    t.ok(documented.has(`${method} ${url}`), `${method} ${url}`)
  }
  t.ok(documented.has('GET /projects/:projectId/members'))
})

t.test('every route describes its purpose and each status', async t => {
  const known = tags.map(({ name }: { name: string }) => name)
  for (const { name, summary, description, tags, responses } of operations) {
    t.ok(summary, `${name} has a summary`)
    t.ok(description, `${name} has a description`)
    t.ok(tags?.length === 1 && known.includes(tags[0]), `${name} has a tag`)
    for (const [status, response] of Object.entries(responses)) {
      t.notMatch(response.description, /^(Default Response|)$/, `${name} ${status} is described`)
    }
  }
})

t.test('every route documents the error statuses that it can return', async t => {
  for (const { name, security, parameters, requestBody, responses } of operations) {
    // These routes do not use the database.
    if (/^GET \/($|health|docs|metrics|operator|client|assets|sw\.js|manifest)/.test(name)) continue
    const needs = [
      [true, [503]],
      [security?.some(way => 'bearer' in way), [401, 403]],
      [parameters?.some(({ in: where }) => where === 'query' || where === 'path'), [400]],
      [parameters?.some(({ in: where }) => where === 'path'), [404]],
      [requestBody, [400, 413, 415]],
      [isRateLimited(name, security), [429]]
    ] as const
    for (const [isNeeded, statuses] of needs) {
      for (const status of isNeeded ? statuses : []) t.ok(responses[status], `${name} ${status}`)
    }
    for (const [status, { content }] of Object.entries(responses)) {
      if (Number(status) < 400) continue
      t.strictSame(content?.['application/json']?.schema, { $ref: '#/components/schemas/Error' })
    }
  }
})

/** Returns whether the write rate of a user limits a route. */
function isRateLimited(name: string, security: object[] = []): boolean {
  return !/^GET |\/auth\//.test(name) && security.some(way => 'bearer' in way)
}

t.test('every documented parameter and field has a description and an example', async t => {
  for (const { name, parameters, requestBody } of operations) {
    for (const parameter of parameters ?? []) {
      t.ok(parameter.description, `${name} ${parameter.name} is described`)
      t.ok('example' in parameter, `${name} ${parameter.name} has an example`)
    }
    for (const { schema } of Object.values(requestBody?.content ?? {}))
      check(schema, `${name} body`)
  }
  for (const [name, schema] of Object.entries<Schema>(components.schemas)) check(schema, name)

  function check(schema: Schema, name: string) {
    if (schema.$ref) return
    t.ok(schema.description, `${name} is described`)
    for (const [field, value] of Object.entries(schema.properties ?? {})) {
      check(value, `${name}.${field}`)
    }
    for (const part of schema.oneOf ?? []) check(part, `${name}.oneOf`)
    if (schema.items) return
    const isObvious = 'enum' in schema || schema.type === 'boolean'
    if (schema.properties || schema.oneOf || isObvious) return
    t.ok(schema.examples?.length, `${name} has an example`)
  }
})

t.test('optional parameters are documented as optional', async t => {
  const list = operations.find(({ name }) => name === 'GET /projects')
  const limit = list?.parameters?.find(({ name }) => name === 'limit')
  t.equal(limit?.required, false)
})

t.test('the docs page loads only what its content security policy allows', async t => {
  const page = await app.inject('/docs')
  t.equal(page.statusCode, 200)
  const policy = String(page.headers['content-security-policy'])
  t.match(policy, "script-src 'self'")
  t.notMatch(policy, 'upgrade-insecure-requests')
  const scripts = [...page.body.matchAll(/<script([^>]*)>([^<]*)/g)]
  t.ok(scripts.length > 0)
  for (const [, attributes, inline] of scripts) {
    const [, src] = /src="([^"]+)"/.exec(attributes ?? '') ?? []
    t.equal(inline?.trim(), '')
    t.equal((await app.inject(`${src}`)).statusCode, 200, `${src}`)
  }
})

/** Parses the tree of `printRoutes`: one node per line, indented by four. */
function routesOf(tree: string) {
  const parents: string[] = []
  return tree.split('\n').flatMap(line => {
    const [, indent = '', part, methods] = /^([│ ├└─]*)(\S+)(?: \((.+)\))?$/.exec(line) ?? []
    if (part === undefined) return []
    parents.length = Math.max(indent.length / 4 - 1, 0)
    const url = parents.join('') + part
    parents.push(part)
    return (methods ?? '').split(', ').flatMap(method => (method ? [{ method, url }] : []))
  })
}
