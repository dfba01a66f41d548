import { BadRequest } from './errors.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Decodes a body. Throws BadRequest when it is not valid UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new BadRequest('the body is not valid UTF-8')
  }
}
