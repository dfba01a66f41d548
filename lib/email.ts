/**
 * The one spelling under which an address is stored and looked up. The schema `Email` has refused
 * everything but ASCII, so no locale has a say in what lower case means.
 */
export function canonicalEmail(email: string): string {
  return email.toLowerCase()
}
