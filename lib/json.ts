import { BadRequest } from './errors.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Returns the text of a body. Throws BadRequest unless it is UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new BadRequest('the body is not valid UTF-8')
  }
}
