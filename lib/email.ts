/**
 * Returns the form in which an address is stored and queried. The schema `Email` accepts only ASCII, so the lower case
 * does not depend on a locale.
 */
export function canonicalEmail(email: string): string {
  return email.toLowerCase()
}
