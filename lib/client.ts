import type { IncomingHttpHeaders } from 'node:http'

/** Where a session is used from, as its list shows it. */
export interface Client {
  ip: string
  userAgent: string
}

export function clientOf({ ip, headers }: { ip: string; headers: IncomingHttpHeaders }): Client {
  return { ip, userAgent: headers['user-agent']?.slice(0, 256) ?? '' }
}
