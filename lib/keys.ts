import { hkdfSync } from 'node:crypto'

/** What one secret gives. `kid` names it in public without telling anything of it. */
export interface Key {
  kid: string
  access: string
  refresh: Buffer
}

/**
 * The keys of a ring of secrets, in its order: the first signs, all verify.
 * Refresh tokens get a key of their own (HKDF-SHA-256, RFC 5869), so that no token of one kind
 * can ever pass for one of the other.
 */
export function keyRing(secrets: readonly string[]): [Key, ...Key[]] {
  const [first, ...others] = secrets
  if (!first) throw new Error('a key ring needs a secret')
  return [keyOf(first), ...others.map(keyOf)]
}

function keyOf(secret: string): Key {
  return {
    kid: derive(secret, 'concord kid', 6).toString('base64url'),
    access: secret,
    refresh: derive(secret, 'concord refresh token', 32)
  }
}

function derive(secret: string, purpose: string, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', purpose, length))
}
