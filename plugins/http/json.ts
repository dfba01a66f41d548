import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { errorCodes, type FastifyInstance, type FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { BadRequest } from '../../lib/errors.ts'
import { decodeUtf8 } from '../../lib/utf8.ts'

/** Parses JSON in UTF-8, takes an empty body as none whatever its type, and refuses every other with 415. */
async function json(app: FastifyInstance) {
  const parse = promisify(app.getDefaultJsonParser('error', 'error'))

  app.removeAllContentTypeParsers()
  app.addContentTypeParser<Buffer>(
    'application/json',
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) =>
      // A route without a body takes an empty one; the schema of the others refuses it.
      body.length === 0 ? undefined : parse(request, decodeUtf8(body))
  )
  app.addContentTypeParser('*', (_request, payload, done) => expectNothing(payload, done))

  // Fastify refuses what is no media type, such as an empty one, before it looks for a body.
  app.addHook('preParsing', (request, _reply, payload, done) => {
    if (request.mediaType !== 'application/json') delete request.headers['content-type']
    done(null, payload)
  })
}

/** Calls back when a body ends without a byte, and with an error at its first byte. */
function expectNothing(payload: IncomingMessage, done: (error: Error | null) => void) {
  const onData = () => settle(new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE())
  const onEnd = () => settle(null)
  const onError = () => settle(new BadRequest('the body is incomplete'))
  payload.on('data', onData).on('end', onEnd).on('error', onError)

  function settle(error: Error | null) {
    payload.off('data', onData).off('end', onEnd).off('error', onError)
    done(error)
  }
}

export default fp(json, { name: 'json' })
