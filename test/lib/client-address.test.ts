import { isIPv4 } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { clientInfo, clientNetwork } from '../../lib/client-address.ts'

t.test('clientInfo returns the address and at most 256 user-agent characters', async t => {
  const ip = '::1'
  t.strictSame(clientInfo({ ip, headers: {} }), { ip, userAgent: '' })
  t.strictSame(clientInfo({ ip, headers: { 'user-agent': 'curl' } }), { ip, userAgent: 'curl' })
  t.equal(clientInfo({ ip, headers: { 'user-agent': 'x'.repeat(9999) } }).userAgent.length, 256)
})

t.test('clientInfo returns an empty string for an invalid address', async t => {
  for (const ip of ['', 'unknown', '1.2.3.4:80', '_hidden', 'x'.repeat(9999)]) {
    t.equal(clientInfo({ ip, headers: {} }).ip, '')
  }
})

t.test('clientNetwork returns the IPv4 address, or the /64 of an IPv6 address', async t => {
  const networks = {
    '192.0.2.1': '192.0.2.1',
    '::ffff:192.0.2.1': '192.0.2.1',
    '::FFFF:c000:0201': '192.0.2.1',
    '0:0:0:0:0:ffff:192.0.2.1': '192.0.2.1',
    '2001:db8:1:2:3:4:5:6': '2001:db8:1:2::/64',
    '2001:0DB8:0001:0002::': '2001:db8:1:2::/64',
    '2001:db8::1': '2001:db8:0:0::/64',
    '::': '0:0:0:0::/64',
    '::1': '0:0:0:0::/64',
    '1::': '1:0:0:0::/64',
    'fe80::1%eth0': 'fe80:0:0:0::/64',
    '64:ff9b::192.0.2.1': '64:ff9b:0:0::/64',
    unknown: '',
    '': ''
  }
  for (const [ip, network] of Object.entries(networks)) t.equal(clientNetwork(ip), network, ip)
})

t.test('clientNetwork returns the same network in upper and lower case', async t => {
  fc.assert(
    fc.property(fc.ipV6(), ip => {
      const network = clientNetwork(ip)
      t.equal(isIPv4(network) || network.endsWith('::/64'), true, ip)
      t.equal(clientNetwork(ip.toUpperCase()), network)
    })
  )
})
