import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { RouteNotFound } from '../lib/errors.ts'
import { webFiles } from '../lib/web-files.ts'
import { refusals } from '../schemas/error.ts'

/**
 * The page loads scripts, styles, fonts and data from this service only, and contains no inline script or style. With
 * Trusted Types, no text can become a script; the policy `concord` allows the URL of the service worker.
 */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  'trusted-types concord'
].join('; ')

const routes: FastifyPluginAsyncTypebox = async app => {
  if (!app.config.web) return
  const { page } = await webFiles()

  app.serveFile({
    url: '/',
    tag: 'page',
    summary: 'Open the page',
    description: 'The page, on which people sign in, share projects and edit checklists together.',
    contentType: 'text/html',
    content: page.document,
    headers: { 'content-security-policy': policy }
  })

  app.serveFile({
    url: '/sw.js',
    tag: 'page',
    summary: 'Get the service worker of the page',
    description: 'Stores the files of the page in the browser, so that it opens without a network.',
    contentType: 'text/javascript',
    content: page.worker
  })

  app.serveFile({
    url: '/manifest.webmanifest',
    tag: 'page',
    summary: 'Get the manifest of the page',
    description: 'With it, the page can be installed like an app.',
    contentType: 'application/manifest+json',
    content: page.manifest
  })

  app.route({
    method: 'GET',
    url: '/assets/:name',
    schema: {
      tags: ['page'],
      summary: 'Get a script, style, font or icon of the page',
      description: 'Its name contains a hash of its content, so caches may keep it for ever.',
      params: Type.Object({
        name: Type.String({
          pattern: '^[\\w.-]{1,100}$',
          description: 'name of the file',
          examples: ['main-3RWGZ2DK.js']
        })
      }),
      response: {
        200: {
          description: 'The file',
          content: { 'application/octet-stream': { schema: Type.String() } }
        },
        304: Type.Null({ description: 'The file has the ETag of `If-None-Match`' }),
        ...refusals(400, 404)
      }
    },
    handler: async ({ params, method, url }, reply) => {
      const file = page.assets.get(params.name)
      if (!file) throw new RouteNotFound(method, url)
      reply.header('cache-control', 'public, max-age=31536000, immutable')
      return reply.sendWithTag(file)
    }
  })
}

export default routes
