import { hkdfSync } from 'node:crypto'

/** The keys of one secret. `kid` identifies them in public and reveals nothing of the secret. */
export interface Key {
  kid: string
  access: string
  refresh: Buffer
}

/** The keys of all secrets, in their order: the first signs, all verify. */
export type Keys = [Key, ...Key[]]

/**
 * Derives the keys of each secret. Refresh tokens have a key of their own (HKDF-SHA-256, RFC 5869), so that no token of one
 * kind is ever valid as one of the other. Throws when there is no secret.
 */
export function deriveKeys(secrets: readonly string[]): Keys {
  const [first, ...others] = secrets
  if (!first) throw new Error('deriveKeys needs a secret')
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
