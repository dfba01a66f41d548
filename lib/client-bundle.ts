import { join } from 'node:path'
import { type BuildOptions, build, stop } from 'esbuild'
import packageJson from '../package.json' with { type: 'json' }

const options = {
  entryPoints: [join(import.meta.dirname, '../client/index.ts')],
  bundle: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
  write: false
} satisfies BuildOptions

// The license of the package requires its copyright line in every copy.
const banner =
  `/*! Concord ${packageJson.version} (${packageJson.license}), with ` +
  'eventsource-parser (MIT, (c) 2026 Espen Hovlandsdal) */'

/** Returns the client as one minified ES module that imports nothing. */
export const bundleClient = () => bundle({ minify: true, banner: { js: banner } })

/** Returns the client as one readable ES module that imports its npm packages. */
export const buildPackage = () => bundle({ packages: 'external' })

let running = 0

async function bundle(extra: BuildOptions): Promise<string> {
  running++
  try {
    const { outputFiles } = await build({ ...options, ...extra, write: false })
    return outputFiles.map(({ text }) => text).join('')
  } finally {
    // esbuild is a child process, which would keep its memory.
    if (--running === 0) await stop()
  }
}
