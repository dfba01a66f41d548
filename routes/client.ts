import { createHash } from 'node:crypto'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { bundleClient } from '../lib/client-bundle.ts'
import { describeClient } from '../lib/client-declarations.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  if (!app.config.web) return
  files ??= Promise.all([bundleClient(), describeClient()])
  const [library, types] = await files

  serve({
    url: '/client.js',
    summary: 'Get the client library',
    description:
      'The client library for browsers and Node as one ES module, of the same version as the service: ' +
      "`import { createClient } from '/client.js'`.",
    contentType: 'text/javascript',
    content: library
  })

  serve({
    url: '/client.d.ts',
    summary: 'Get the types of the client library',
    description: 'The TypeScript declarations of `/client.js`, in one file that imports nothing.',
    contentType: 'text/plain',
    content: types
  })

  function serve({ url, summary, description, contentType, content }: File) {
    const etag = `"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"`

    app.route({
      method: 'GET',
      url,
      schema: {
        tags: ['client'],
        summary,
        description,
        response: {
          200: { description: 'The file', content: { [contentType]: { schema: Type.String() } } },
          304: Type.Null({ description: 'The file has the ETag of `If-None-Match`' })
        }
      },
      handler: async ({ headers }, reply) => {
        // A cache must check the file with every use: it may be that of an earlier version of the service.
        reply.headers({ etag, 'cache-control': 'no-cache' })
        if (isMatch(headers['if-none-match'], etag)) return reply.code(304).send(null)
        return reply.type(`${contentType}; charset=utf-8`).send(content)
      }
    })
  }
}

export default routes

interface File {
  url: string
  summary: string
  description: string
  contentType: string
  content: string
}

/** The same for all applications of a process. */
let files: Promise<[library: string, types: string]> | undefined

/** Returns whether `If-None-Match` contains an ETag. A proxy that compresses may have marked it as weak (RFC 9110, 13.1.2). */
function isMatch(header: string | undefined, etag: string): boolean {
  const tags = (header ?? '').split(',').map(tag => tag.trim().replace(/^W\//, ''))
  return tags.includes(etag) || tags.includes('*')
}
