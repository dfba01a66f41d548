/** Returns all values of one name, not decoded. A subdomain can add values for its parent domain (cookie tossing). */
export function cookieValues(header: string | undefined, name: string): string[] {
  const pairs = header?.split(';').map(pair => pair.trim()) ?? []
  return pairs
    .filter(pair => pair.startsWith(`${name}=`))
    .map(pair => pair.slice(name.length + 1).trim())
}
