import t from 'tap'
import { uuid } from '../../client/uuid.ts'

const random = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

t.test('ids are random UUIDs, also on pages without HTTPS', async t => {
  const ids = [uuid(), uuid()]
  const { getRandomValues } = crypto
  const insecure = { getRandomValues: getRandomValues.bind(crypto) }
  t.intercept(globalThis, 'crypto', { value: insecure })
  ids.push(...Array.from({ length: 50 }, uuid))
  for (const id of ids) t.match(id, random)
  t.equal(new Set(ids).size, ids.length)
})
