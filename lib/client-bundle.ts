import { join } from 'node:path'
import packageJson from '../package.json' with { type: 'json' }
import { bundle } from './bundle.ts'

const entryPoints = [join(import.meta.dirname, '../client/index.ts')]

// The license of the package requires its copyright line in every copy.
const banner =
  `/*! Concord ${packageJson.version} (${packageJson.license}), with ` +
  'eventsource-parser (MIT, (c) 2026 Espen Hovlandsdal) */'

/** Returns the client as one minified ES module that imports nothing. */
export const bundleClient = async () =>
  textOf(await bundle({ entryPoints, minify: true, banner: { js: banner } }))

/** Returns the client as one readable ES module that imports its npm packages. */
export const buildPackage = async () => textOf(await bundle({ entryPoints, packages: 'external' }))

function textOf(files: Awaited<ReturnType<typeof bundle>>): string {
  return files.map(({ text }) => text).join('')
}
