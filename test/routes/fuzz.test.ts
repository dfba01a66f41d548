import fc from 'fast-check'
import t, { type Test } from 'tap'
import { startNode } from '../support/app.ts'
import type { HttpRequest } from '../support/http-client.ts'
import { createUser, signIn } from '../support/users.ts'

const { app, call } = await startNode(t, { WEB: 'on' })
const ann = await createUser(app)

const routes = [
  ['POST', '/auth/signup'],
  ['POST', '/auth/signin'],
  ['POST', '/auth/refresh'],
  ['POST', '/auth/signout'],
  ['POST', '/auth/password'],
  ['GET', '/auth/sessions'],
  ['DELETE', '/auth/sessions/x'],
  ['GET', '/users/me'],
  ['PATCH', '/users/me'],
  ['DELETE', '/users/me']
] as const

/** Generates any text that is valid in a header. */
const headerText = fc
  .string({ unit: fc.integer({ min: 0x20, max: 0xff }).map(code => String.fromCharCode(code)) })
  .map(text => text.replaceAll('\x7f', ''))

const anyString = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('__proto__', 'constructor', '\0', '\ud800', ann.email, ann.id)
)
const anything = fc.oneof(anyString, fc.jsonValue(), fc.double(), fc.bigInt().map(Number))

/** Generates JSON with known fields of any type, and unknown fields. */
const body = fc
  .tuple(
    fc.record(
      { email: anything, password: anything, name: anything, current: anything, next: anything },
      { requiredKeys: [] }
    ),
    fc.dictionary(anyString, fc.jsonValue(), { maxKeys: 2 })
  )
  .map(parts => Object.assign({}, ...parts))

/** Generates variants of a valid token or cookie. */
const variantsOf = (text: string) =>
  fc.oneof(
    fc.constant(text),
    headerText,
    fc
      .tuple(fc.nat(text.length), fc.nat(3), headerText)
      .map(([at, cut, more]) => text.slice(0, at) + more + text.slice(at + cut))
  )

async function checkNo5xx(t: Test, arbitrary: fc.Arbitrary<HttpRequest>, numRuns = 40) {
  for (const [method, path] of routes) {
    await fc.assert(
      fc.asyncProperty(arbitrary, async request => {
        const { status, body } = await call(method, path, request)
        if (status >= 500) throw new Error(`${status}`)
        if (status >= 400 && body.statusCode !== status) throw new Error('not the body of an error')
      }),
      { numRuns }
    )
    t.pass(`${method} ${path}`)
  }
  t.equal(
    (await call('GET', '/users/me', { token: ann.token })).status,
    200,
    'the service still responds'
  )
}

t.test('no JSON body causes a 5xx', t =>
  checkNo5xx(t, fc.record({ body, token: fc.constant(ann.token) }))
)

t.test('no body that is not JSON causes a 5xx', t =>
  checkNo5xx(
    t,
    fc.record({ body: fc.oneof(anyString, fc.json()), token: fc.constant(ann.token) }),
    20
  )
)

t.test('no access token causes a 5xx', t =>
  checkNo5xx(t, fc.record({ token: variantsOf(ann.token) }))
)

t.test('no cookie causes a 5xx', async t => {
  const { cookie } = await signIn(app, ann)
  const text = variantsOf(cookie)
  await checkNo5xx(
    t,
    fc.record({
      cookie: fc.oneof(
        text,
        fc.array(text).map(all => all.join('; '))
      )
    })
  )
})

t.test('no header causes a 5xx', t => {
  const names = [
    'origin',
    'sec-fetch-site',
    'user-agent',
    'x-forwarded-for',
    'content-type',
    'accept',
    'accept-encoding',
    'if-none-match',
    'range'
  ]
  const headers = fc.dictionary(fc.constantFrom(...names), headerText, { maxKeys: 4 })
  return checkNo5xx(t, fc.record({ headers, body: fc.constantFrom('{}', undefined) }), 20)
})

t.test('no path or query causes a 5xx', async t => {
  const part = fc.oneof(
    fc.webPath(),
    fc.webQueryParameters(),
    fc.constantFrom('..', '%', '%00', '//')
  )
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 3 }), async parts => {
      const path = `/auth/sessions/${parts.join('/')}`
      const { status } = await call('DELETE', path, { token: 'x' })
      if (status >= 500) throw new Error(`${status}`)
    }),
    { numRuns: 100 }
  )
  t.pass('no 5xx')
})

/** The parts of an OpenAPI schema that this test reads. */
interface Schema {
  $ref?: string
  type?: string | string[]
  enum?: unknown[]
  const?: unknown
  oneOf?: Schema[]
  items?: Schema
  properties?: Record<string, Schema>
  example?: unknown
  examples?: unknown[]
}

interface Operation {
  parameters?: { in: string; name: string; schema: Schema; example?: unknown }[]
  requestBody?: { content: Record<string, { schema: Schema }> }
}

t.test('NUL and lone surrogates return 400 in every documented string', async t => {
  const { paths, components } = (await call('GET', '/docs/json')).body
  const { token } = ann
  let fields = 0
  for (const [path, operations] of Object.entries<Record<string, Operation>>(paths)) {
    for (const [method, { parameters = [], requestBody }] of Object.entries(operations)) {
      for (const schema of Object.values(requestBody?.content ?? {})) {
        for (const sample of samples(schema.schema)) {
          for (const bad of corruptions(sample.value, 'body')) {
            const url = path.replace(/{\w+}/g, ann.id)
            await refused(method, url, bad.where, { body: bad.value, token })
          }
        }
      }
      for (const one of parameters) {
        if (one.in === 'path') {
          const url = path.replace(`{${one.name}}`, '%00').replace(/{\w+}/g, ann.id)
          await refused(method, url, `params/${one.name}`, { token })
        }
        if (one.in === 'query' && one.schema.type !== 'integer') {
          const url = `${path.replace(/{\w+}/g, ann.id)}?${one.name}=%00`
          await refused(method, url, `querystring/${one.name}`, { token })
        }
      }
    }
  }
  t.ok(fields > 50, `${fields} fields`)

  async function refused(method: string, url: string, where: string, request: HttpRequest) {
    fields++
    const { status, body } = await call(method.toUpperCase(), url, request)
    const context = `${method} ${url} ${where}: ${body.message}`
    t.strictSame([status, body.code], [400, 'FST_ERR_VALIDATION'], context)
    // For the discriminator of a union, the error names the union and the key.
    const [parent, key = ''] = [where.replace(/\/\w+$/, ''), where.split('/').at(-1)]
    const names =
      body.message.startsWith(where) ||
      (body.message.startsWith(parent) && body.message.includes(`"${key}"`))
    t.ok(names, context)
  }

  /** Returns valid values of a schema: one for each member of a union, with every optional field. */
  function samples(schema: Schema): { value: unknown }[] {
    if (schema.$ref) return samples(components.schemas[schema.$ref.split('/').at(-1) ?? ''])
    if (schema.oneOf) return schema.oneOf.flatMap(samples)
    if (schema.properties) {
      const fields = Object.entries(schema.properties).map(
        ([name, field]) => [name, samples(field)] as const
      )
      const most = Math.max(1, ...fields.map(([, all]) => all.length))
      return Array.from({ length: most }, (_, n) => ({
        value: Object.fromEntries(fields.map(([name, all]) => [name, all[n % all.length]?.value]))
      }))
    }
    if (schema.items) return samples(schema.items).map(({ value }) => ({ value: [value] }))
    const [value] = [
      schema.const,
      ...(schema.enum ?? []),
      schema.example,
      ...(schema.examples ?? []),
      true
    ].filter(one => one !== undefined)
    return [{ value }]
  }

  /** Returns copies of a value, each with one string replaced by an invalid one, and the path of that string. */
  function corruptions(value: unknown, where: string): { where: string; value: unknown }[] {
    if (typeof value === 'string') {
      return ['\0', '\ud800', '\udc00\ud800'].map(bad => ({ where, value: bad }))
    }
    if (value === null || typeof value !== 'object') return []
    return Object.entries(value).flatMap(([key, field]) =>
      corruptions(field, `${where}/${key}`).map(bad => ({
        where: bad.where,
        value: Array.isArray(value)
          ? value.map((one, n) => (String(n) === key ? bad.value : one))
          : { ...value, [key]: bad.value }
      }))
    )
  }
})
