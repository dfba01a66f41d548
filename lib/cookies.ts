/**
 * Returns all values of one name in a Cookie header. Quotes and percent-encoding stay as the client sent them. A name
 * can occur more than once, because a subdomain may set cookies for its parent domain (cookie tossing).
 */
export function cookieValues(header: string | undefined, name: string): string[] {
  const pairs = header?.split(';').map(pair => pair.trim()) ?? []
  return pairs
    .filter(pair => pair.startsWith(`${name}=`))
    .map(pair => pair.slice(name.length + 1).trim())
}
