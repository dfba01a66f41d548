import t from 'tap'
import { extractNamedSchemas } from '../../lib/named-schemas.ts'

const item = { title: 'Item', type: 'object', properties: { title: { type: 'string' } } }
const list = { title: 'List', type: 'array', items: item }
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })

t.test('extractNamedSchemas moves every schema with a title to the components', async t => {
  const { document, schemas } = extractNamedSchemas({ answer: list, other: [item, item] })
  t.strictSame(document, { answer: ref('List'), other: [ref('Item'), ref('Item')] })
  t.strictSame(schemas, { Item: item, List: { ...list, items: ref('Item') } })
})

t.test('extractNamedSchemas ignores a property named title and titles in examples', async t => {
  const schema = { properties: { title: { type: 'string' } }, examples: [{ title: 'To buy' }] }
  const { document, schemas } = extractNamedSchemas({ schema, default: item })
  t.strictSame(document, { schema, default: item })
  t.strictSame(schemas, {})
})

t.test('extractNamedSchemas leaves the second of two schemas with one title inline', async t => {
  const another = { title: 'Item', type: 'string' }
  const { document, schemas } = extractNamedSchemas({ first: item, second: another })
  t.strictSame(document, { first: ref('Item'), second: another })
  t.strictSame(schemas, { Item: item })
})

t.test('extractNamedSchemas does not change its argument', async t => {
  const before = JSON.stringify(list)
  extractNamedSchemas({ list })
  t.equal(JSON.stringify(list), before)
})
