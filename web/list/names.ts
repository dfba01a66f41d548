/** Returns the name of a user as it is shown: "You", "Bob", "a former member", or "a database change" for null. */
export type NameOf = (userId: string | null) => string

/** Returns a name as the beginning of a sentence. */
export const capitalize = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

/** Returns the possessive of a name: "Bob's", "Ines'". */
export const possessive = (name: string) => (/[sxz]$/i.test(name) ? `${name}’` : `${name}’s`)
