/**
 * Returns an address in lower case, in which it is stored and queried. The schema `Email` accepts only ASCII, so the
 * result does not depend on a locale.
 */
export function canonicalEmail(email: string): string {
  return email.toLowerCase()
}
