import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Key, Keys } from './keys.ts'

// The clocks of the operator's machine and of the node may differ.
const limits = { lifeSeconds: 60, skewSeconds: 60 }

/** Returns a token with which an operator may list the connections of one user for a minute: `kid.expiry.mac`. */
export function createOperatorToken([key]: Keys, userId: string): string {
  const expiry = Math.floor(Date.now() / 1000) + limits.lifeSeconds
  return `${key.kid}.${expiry}.${macOf(key, expiry, userId)}`
}

export function isOperatorToken(token: string, keys: Keys, userId: string): boolean {
  const [kid, digits = '', mac = ''] = token.split('.')
  const key = keys.find(key => key.kid === kid)
  const left = Number(digits) - Date.now() / 1000
  const isCurrent = left > -limits.skewSeconds && left < limits.lifeSeconds + limits.skewSeconds
  if (!key || !isCurrent) return false
  const expected = Buffer.from(macOf(key, Number(digits), userId))
  const given = Buffer.from(mac)
  return given.length === expected.length && timingSafeEqual(given, expected)
}

function macOf({ operator }: Key, expiry: number, userId: string): string {
  return createHmac('sha256', operator)
    .update(`${expiry} ${userId.toLowerCase()}`)
    .digest('base64url')
}
