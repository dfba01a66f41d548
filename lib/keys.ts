import { createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { readOrCreateFile } from './files.ts'

/** The keys of one secret. `kid` is their public id; the secret cannot be computed from it. */
export interface Key {
  kid: string
  access: string
  /** A KeyObject: an HMAC with a Buffer takes 11 µs, with a KeyObject 2 µs. */
  refresh: KeyObject
  /** of the pages that nodes send each other */
  pages: KeyObject
  /** of the tokens of operators */
  operator: KeyObject
}

/** The keys of all secrets, in the order of the secrets. The first keys sign; all keys verify. */
export type Keys = [Key, ...Key[]]

/** Returns the keys of the configured secrets, or of a secret that the first call creates in `dataDir`. */
export function createKeys({
  jwtSecrets,
  dataDir
}: {
  jwtSecrets?: readonly string[]
  dataDir: string
}): Keys {
  return deriveKeys(jwtSecrets ?? [readOrCreateSecret(dataDir)])
}

function readOrCreateSecret(dataDir: string): string {
  mkdirSync(dataDir, { recursive: true })
  return readOrCreateFile(join(dataDir, 'jwt-secret'), () => randomBytes(48).toString('base64url'))
}

/** Derives the keys. Refresh tokens have their own key (HKDF-SHA-256, RFC 5869): no access token is valid as one. */
export function deriveKeys(secrets: readonly string[]): Keys {
  const [first, ...others] = secrets
  if (!first) throw new Error('deriveKeys needs a secret')
  return [keyOf(first), ...others.map(keyOf)]
}

function keyOf(secret: string): Key {
  return {
    kid: derive(secret, 'concord kid', 6).toString('base64url'),
    access: secret,
    refresh: createSecretKey(derive(secret, 'concord refresh token', 32)),
    pages: createSecretKey(derive(secret, 'concord pages', 32)),
    operator: createSecretKey(derive(secret, 'concord operator', 32))
  }
}

function derive(secret: string, purpose: string, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', purpose, length))
}
