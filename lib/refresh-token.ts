import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Key } from './keys.ts'

export interface RefreshToken {
  sessionId: string
  /** how often the refresh token of the session had been rotated when this token was made */
  counter: number
}

const VERSION = 1
// Offsets and total length, in bytes.
const COUNTER_AT = 17
const MAC_AT = 21
const LENGTH = 53

/** Returns a token of 71 characters: base64url(version | session id | counter | HMAC-SHA-256 of the three). */
export function encodeRefreshToken({ sessionId, counter }: RefreshToken, key: Key): string {
  const bytes = Buffer.alloc(LENGTH)
  bytes.writeUInt8(VERSION)
  bytes.write(sessionId.replaceAll('-', ''), 1, 'hex')
  bytes.writeUInt32BE(counter, COUNTER_AT)
  mac(bytes, key).copy(bytes, MAC_AT)
  return bytes.toString('base64url')
}

/** Returns the content of a token that was signed with one of `keys`. Returns undefined for any other text. */
export function decodeRefreshToken(text: string, keys: readonly Key[]): RefreshToken | undefined {
  const bytes = Buffer.from(text, 'base64url')
  // Node's decoder skips invalid characters. Without the comparison, many different texts would be valid for one token.
  if (bytes.length !== LENGTH || bytes.toString('base64url') !== text) return
  if (bytes[0] !== VERSION) return
  const sentMac = bytes.subarray(MAC_AT)
  if (!keys.some(key => timingSafeEqual(mac(bytes, key), sentMac))) return
  return {
    sessionId: uuid(bytes.toString('hex', 1, COUNTER_AT)),
    counter: bytes.readUInt32BE(COUNTER_AT)
  }
}

function mac(bytes: Buffer, { refresh }: Key): Buffer {
  return createHmac('sha256', refresh).update(bytes.subarray(0, MAC_AT)).digest()
}

function uuid(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
