import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { webFiles } from '../../lib/web-files.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Adds a route that serves one file. */
    serveFile(file: ServedFile): void
  }
  interface FastifyReply {
    /**
     * Sends a file with its ETag, compressed if the client accepts it and it is a text. Sends 304 when `If-None-Match` of
     * the request contains the ETag.
     */
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
  // Made while the database starts. The routes wait for them, and then throw the error if there was one.
  if (app.config.web) webFiles().catch(() => {})
  const prepared = new WeakMap<FileContent, PreparedFile>()

  app.decorateReply('sendWithTag', function (file: FileContent) {
    const known = prepared.get(file) ?? prepare(file)
    prepared.set(file, known)
    const { 'accept-encoding': encodings, 'if-none-match': match } = this.request.headers
    const zipped = /\bgzip\b/.test(String(encodings)) ? known.gzip?.() : undefined
    // The two forms of a file are different for caches, so their ETags must differ (RFC 9110, 8.8.3.3).
    this.header('etag', zipped ? `"${known.hash}-gzip"` : `"${known.hash}"`)
    if (known.gzip) {
      const vary = [this.getHeader('vary'), 'Accept-Encoding'].filter(Boolean).join(', ')
      this.header('vary', vary)
    }
    if (isMatch(match, known.hash)) return this.code(304).send(null)
    if (zipped) this.header('content-encoding', 'gzip')
    return this.type(known.contentType).send(zipped ?? file.content)
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

interface PreparedFile {
  hash: string
  contentType: string
  /** Returns the compressed file. Undefined for files that are compressed already, such as fonts. */
  gzip?: () => Buffer
}

function prepare({ content, contentType }: FileContent): PreparedFile {
  const hash = createHash('sha256').update(content).digest('base64url').slice(0, 22)
  if (!/^text|json|xml|javascript/.test(contentType)) return { hash, contentType }
  let zipped: Buffer | undefined
  const gzip = () => {
    zipped ??= gzipSync(content)
    return zipped
  }
  return { hash, contentType: `${contentType}; charset=utf-8`, gzip }
}

/**
 * Returns whether `If-None-Match` contains the ETag of a file. A proxy that compresses may have marked it as weak (RFC
 * 9110, 13.1.2).
 */
function isMatch(header: string | undefined, hash: string): boolean {
  const tags = (header ?? '').split(',').map(tag => tag.trim().replace(/^W\//, ''))
  return tags.some(tag => tag === '*' || tag === `"${hash}"` || tag === `"${hash}-gzip"`)
}

export default fp(files, { name: 'files', dependencies: ['config'] })
