import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { errorCodes, type FastifyInstance, type FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { BadRequest } from '../../lib/errors.ts'
import { decodeUtf8 } from '../../lib/utf8.ts'

/** Parses bodies of JSON in UTF-8, treats an empty body of any type as no body, and refuses all others with 415. */
async function json(app: FastifyInstance) {
  const parse = promisify(app.getDefaultJsonParser('error', 'error'))

  app.removeAllContentTypeParsers()
  app.addContentTypeParser<Buffer>(
    'application/json',
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) =>
      // Routes that require a body refuse an empty one by their schema.
      body.length === 0 ? undefined : parse(request, decodeUtf8(body))
  )
  app.addContentTypeParser('*', (_request, payload, done) => expectNothing(payload, done))

  // Fastify refuses an invalid media type, such as an empty one, also when there is no body.
  app.addHook('preParsing', (request, _reply, payload, done) => {
    if (request.mediaType !== 'application/json') delete request.headers['content-type']
    done(null, payload)
  })
}

/** Calls `done` when a body ends empty, and with an error at its first byte. */
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
