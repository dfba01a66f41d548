import type { IncomingHttpHeaders } from 'node:http'
import { isIP, isIPv6 } from 'node:net'

export interface ClientInfo {
  ip: string
  userAgent: string
}

export function clientInfo({
  ip,
  headers
}: {
  ip: string
  headers: IncomingHttpHeaders
}): ClientInfo {
  // `ip` may be any text that a client sent, when a proxy passes on X-Forwarded-For without checking it.
  return { ip: isIP(ip) ? ip : '', userAgent: headers['user-agent']?.slice(0, 256) ?? '' }
}

/**
 * Returns the network that rate limits count as one client: the IPv4 address, also when it is mapped to IPv6, or the
 * IPv6 /64, which providers assign to one customer. Returns '' for an invalid address.
 */
export function clientNetwork(ip: string): string {
  if (!isIPv6(ip)) return isIP(ip) ? ip : ''
  const groups = parseGroups(ip)
  const [a = 0, b = 0] = groups.slice(6)
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every(group => group === 0)
  if (isMapped) return [a >> 8, a & 255, b >> 8, b & 255].join('.')
  return `${groups
    .slice(0, 4)
    .map(group => group.toString(16))
    .join(':')}::/64`
}

function parseGroups(ip: string): number[] {
  // The URL parser converts every notation of an IPv6 address to that of RFC 5952.
  const { hostname } = new URL(`http://[${ip.split('%', 1)[0]}]`)
  const [head = [], tail = []] = hostname
    .slice(1, -1)
    .split('::')
    .map(part => part.split(':').filter(group => group !== ''))
  const gap = Array<string>(8 - head.length - tail.length).fill('0')
  return [...head, ...gap, ...tail].map(group => Number.parseInt(group, 16))
}
