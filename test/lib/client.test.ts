import t from 'tap'
import { clientOf } from '../../lib/client.ts'

t.test('a client is an address and the beginning of what it calls itself', async t => {
  const ip = '::1'
  t.strictSame(clientOf({ ip, headers: {} }), { ip, userAgent: '' })
  t.strictSame(clientOf({ ip, headers: { 'user-agent': 'curl' } }), { ip, userAgent: 'curl' })
  t.equal(clientOf({ ip, headers: { 'user-agent': 'x'.repeat(9999) } }).userAgent.length, 256)
})
