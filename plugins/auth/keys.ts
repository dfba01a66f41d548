import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { readOrCreateFile } from '../../lib/files.ts'
import { deriveKeys, type Keys } from '../../lib/keys.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The keys of all tokens, derived from JWT_SECRET, or from a secret that the first start creates in DATA_DIR. */
    keys: Keys
  }
}

async function keys(app: FastifyInstance) {
  const { jwtSecrets, dataDir } = app.config
  app.decorate('keys', deriveKeys(jwtSecrets ?? [readOrCreateSecret(dataDir)]))
}

function readOrCreateSecret(dataDir: string): string {
  mkdirSync(dataDir, { recursive: true })
  return readOrCreateFile(join(dataDir, 'jwt-secret'), () => randomBytes(48).toString('base64url'))
}

export default fp(keys, { name: 'keys', dependencies: ['config'] })
