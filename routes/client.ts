import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { webFiles } from '../lib/web-files.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  if (!app.config.web) return
  const { library, types } = await webFiles()

  app.serveFile({
    url: '/client.js',
    tag: 'client',
    summary: 'Get the client library',
    description:
      'The client library for browsers and Node as one ES module, of the same version as the service: ' +
      "`import { createClient } from '/client.js'`.",
    contentType: 'text/javascript',
    content: library
  })

  app.serveFile({
    url: '/client.d.ts',
    tag: 'client',
    summary: 'Get the types of the client library',
    description: 'The TypeScript declarations of `/client.js`, in one file that imports nothing.',
    contentType: 'text/plain',
    content: types
  })
}

export default routes
