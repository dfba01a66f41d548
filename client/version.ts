/** The version of this library, which is that of the service it was made for. A test compares it with package.json. */
export const version = '0.1.0'

/** Returns whether a service of another version has the same API: at most the last number differs. */
export function hasSameApi(other: string): boolean {
  return other.replace(/\.\d+$/, '') === version.replace(/\.\d+$/, '')
}
