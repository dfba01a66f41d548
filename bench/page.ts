import { gzipSync } from 'node:zlib'
import { bundleClient } from '../lib/client-bundle.ts'
import { bundlePage } from '../lib/page-bundle.ts'

/*
 * Measures how long the service needs at its start to bundle the page, and how large the files of the page are. Each
 * build starts esbuild anew, as the service does.
 *
 * npm run bench -- page
 */
const builds = 10

const times: number[] = []
for (let n = 0; n < builds; n++) {
  const start = performance.now()
  await bundlePage()
  times.push(performance.now() - start)
}
times.sort((a, b) => a - b)
const [least = 0, median = 0] = [times[0], times[builds / 2]]
console.log(`bundle the page: ${Math.round(median)} ms, at least ${Math.round(least)} ms`)

const { assets, document } = await bundlePage()
const files = [...assets].map(([name, { content }]) => ({ file: name, content }))
const library = Buffer.from(await bundleClient())
console.table(
  [
    { file: '/', content: Buffer.from(document) },
    ...files,
    { file: 'of the script, the client library', content: library }
  ].map(({ file, content }) => ({
    file,
    bytes: content.length,
    gzip: gzipSync(content, { level: 9 }).length
  }))
)
