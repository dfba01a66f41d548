/**
 * Every value of one name in a Cookie header, as sent: neither unquoted nor percent-decoded.
 * A name can come twice, since any subdomain may set cookies for its parent (cookie tossing).
 */
export function cookieValues(header: string | undefined, name: string): string[] {
  const pairs = header?.split(';').map(pair => pair.trim()) ?? []
  return pairs
    .filter(pair => pair.startsWith(`${name}=`))
    .map(pair => pair.slice(name.length + 1).trim())
}
