/** Returns the stored form of an address. The schema `Email` accepts only ASCII, so no locale matters. */
export function canonicalEmail(email: string): string {
  return email.toLowerCase()
}
