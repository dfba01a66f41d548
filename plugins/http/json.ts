import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { errorCodes, type FastifyInstance, type FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { BadRequest } from '../../lib/errors.ts'
import { decodeUtf8 } from '../../lib/utf8.ts'

/** Parses JSON in UTF-8. Treats an empty body of any media type as no body. Refuses all other bodies with 415. */
async function json(app: FastifyInstance) {
  const parse = promisify(app.getDefaultJsonParser('error', 'error'))

  app.removeAllContentTypeParsers()
  app.addContentTypeParser<Buffer>(
    'application/json',
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) =>
      // The schema of a route that requires a body refuses an empty body.
      body.length === 0 ? undefined : parse(request, decodeUtf8(body))
  )
  app.addContentTypeParser('*', (_request, payload, done) => expectNothing(payload, done))

  // Delete the header, because Fastify refuses an invalid media type, such as an empty one, even when there is no body.
  app.addHook('preParsing', (request, _reply, payload, done) => {
    if (request.mediaType !== 'application/json') delete request.headers['content-type']
    done(null, payload)
  })
}

/** Calls `done` without an error when a body ends empty, and with an error when its first byte arrives. */
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
