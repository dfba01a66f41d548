import { ConcordError } from './errors.ts'

/** An access token. Its times are counted on this device from its arrival, because the clock of the device may be wrong. */
export interface AccessToken {
  token: string
  refreshAt: number
  staleAt: number
}

const refreshAheadMs = 60_000

/** Returns an access token that has arrived at the time `now`. */
export function readAccessToken(token: string, now: number): AccessToken {
  const { iat, exp } = claimsOf(token)
  // `iat` is rounded down to seconds, so up to one may be over.
  const lifeMs = Math.max(exp - iat - 1, 0.5) * 1000
  const aheadMs = Math.min(refreshAheadMs, lifeMs / 3)
  return {
    token,
    refreshAt: now + lifeMs - aheadMs * (1 + Math.random() / 4),
    staleAt: now + lifeMs - aheadMs / 6
  }
}

/** Returns the claims of an access token. They are not verified: the service verifies them. */
export function claimsOf(token: string): { sub: string; iat: number; exp: number } {
  try {
    const [, claims = ''] = token.split('.')
    return JSON.parse(atob(claims.replaceAll('-', '+').replaceAll('_', '/')))
  } catch (cause) {
    throw new ConcordError('NOT_CONCORD', 'the response contains no access token', { cause })
  }
}
