import { createHmac, randomUUID } from 'node:crypto'

/** Returns an access token with the claims of the service, signed with HS256, as a peer verifies it. */
export function signToken(userId: string, secret: string): string {
  const iat = Math.floor(Date.now() / 1000)
  const claims = {
    iss: 'concord',
    aud: 'concord',
    sub: userId,
    sid: randomUUID(),
    jti: randomUUID()
  }
  const body = [
    { alg: 'HS256', typ: 'JWT' },
    { ...claims, iat, exp: iat + 3600 }
  ]
    .map(part => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.')
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`
}
