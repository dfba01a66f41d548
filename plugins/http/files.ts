import { createHash } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Adds a route that serves one file. */
    serveFile(file: ServedFile): void
  }
  interface FastifyReply {
    /** Sends a file with its ETag, or 304 when `If-None-Match` of the request contains it. */
    sendWithTag(file: FileContent): FastifyReply
  }
}

export interface FileContent {
  content: string | Buffer
  contentType: string
}

export interface ServedFile extends FileContent {
  url: string
  /** of the OpenAPI document */
  tag: string
  summary: string
  description: string
  headers?: Record<string, string>
}

/** Serves files that stay the same as long as the process. */
async function files(app: FastifyInstance) {
  const etags = new WeakMap<FileContent, string>()

  app.decorateReply('sendWithTag', function (file: FileContent) {
    const etag = etags.get(file) ?? etagOf(file.content)
    etags.set(file, etag)
    this.header('etag', etag)
    if (isMatch(this.request.headers['if-none-match'], etag)) return this.code(304).send(null)
    const isText = /^text|json|xml|javascript/.test(file.contentType)
    return this.type(isText ? `${file.contentType}; charset=utf-8` : file.contentType).send(
      file.content
    )
  })

  app.decorate('serveFile', function (file) {
    const { url, tag, summary, description, contentType, headers } = file
    this.route({
      method: 'GET',
      url,
      schema: {
        tags: [tag],
        summary,
        description,
        response: {
          200: { description: 'The file', content: { [contentType]: { schema: Type.String() } } },
          304: Type.Null({ description: 'The file has the ETag of `If-None-Match`' })
        }
      },
      // A cache must check the file with every use: it may be that of an earlier version of the service.
      handler: async (_request, reply) =>
        reply.headers({ 'cache-control': 'no-cache', ...headers }).sendWithTag(file)
    })
  })
}

function etagOf(content: string | Buffer): string {
  return `"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"`
}

/** Returns whether `If-None-Match` contains an ETag. A proxy that compresses may have marked it as weak (RFC 9110, 13.1.2). */
function isMatch(header: string | undefined, etag: string): boolean {
  const tags = (header ?? '').split(',').map(tag => tag.trim().replace(/^W\//, ''))
  return tags.includes(etag) || tags.includes('*')
}

export default fp(files, { name: 'files' })
