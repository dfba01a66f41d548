import { BadRequest } from './errors.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Decodes the bytes of a request body. Throws BadRequest when they are not valid UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new BadRequest('the body is not valid UTF-8')
  }
}
