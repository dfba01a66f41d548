import { promisify } from 'node:util'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { assertWellFormed, decodeUtf8 } from '../lib/json.ts'

/** Bodies are JSON in well-formed Unicode; everything else is refused before a route sees it. */
export default fp(
  async app => {
    const parse = promisify(app.getDefaultJsonParser('error', 'error'))

    app.removeAllContentTypeParsers()
    app.addContentTypeParser<Buffer>(
      'application/json',
      { parseAs: 'buffer' },
      async (request: FastifyRequest, body: Buffer) => {
        // A route without a body takes an empty one; the schema of the others refuses it.
        if (body.length === 0) return
        const value = await parse(request, decodeUtf8(body))
        assertWellFormed(value)
        return value
      }
    )
  },
  { name: 'json' }
)
