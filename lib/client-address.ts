import type { IncomingHttpHeaders } from 'node:http'
import { isIP, isIPv6 } from 'node:net'

/** Where a session is used from, as its list shows it. */
export interface Client {
  ip: string
  userAgent: string
}

export function clientOf({ ip, headers }: { ip: string; headers: IncomingHttpHeaders }): Client {
  // Behind a careless proxy the address is whatever the client wrote.
  return { ip: isIP(ip) ? ip : '', userAgent: headers['user-agent']?.slice(0, 256) ?? '' }
}

/**
 * What counts as one client: an IPv4 address, also in IPv6 clothes, or the /64 of an IPv6 address,
 * all of which one customer owns. All that is no address is one client, too.
 */
export function networkOf(ip: string): string {
  if (!isIPv6(ip)) return isIP(ip) ? ip : ''
  const groups = groupsOf(ip)
  const [a = 0, b = 0] = groups.slice(6)
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every(group => group === 0)
  if (isMapped) return [a >> 8, a & 255, b >> 8, b & 255].join('.')
  return `${groups
    .slice(0, 4)
    .map(group => group.toString(16))
    .join(':')}::/64`
}

/** The eight numbers of an IPv6 address, whose zone does not count. */
function groupsOf(ip: string): number[] {
  // The parser of URLs brings every spelling to one, of RFC 5952 without dotted quads.
  const { hostname } = new URL(`http://[${ip.split('%', 1)[0]}]`)
  const [head = [], tail = []] = hostname
    .slice(1, -1)
    .split('::')
    .map(part => part.split(':').filter(group => group !== ''))
  const gap = Array<string>(8 - head.length - tail.length).fill('0')
  return [...head, ...gap, ...tail].map(group => Number.parseInt(group, 16))
}
