/** Returns the name of a user as it is shown: "You", "Bob", "a former member", or "a database change" for null. */
export type NameOf = (userId: string | null) => string

/** Returns a name as the beginning of a sentence. */
export const capitalize = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

/** Returns the possessive of a name: "Bob's", "Ines'". */
export const possessive = (name: string) => (/[sxz]$/i.test(name) ? `${name}’` : `${name}’s`)

/** Returns names as a part of a sentence: "Ann", "Ann and Bob", "Ann, Bob and 3 others". */
export function joinNames(names: readonly string[], most = 3): string {
  const shown = names.length > most ? names.slice(0, most - 1) : names
  const more = names.length - shown.length
  const all = more > 0 ? [...shown, `${more} others`] : shown
  return all.length < 2 ? (all[0] ?? '') : `${all.slice(0, -1).join(', ')} and ${all.at(-1)}`
}
