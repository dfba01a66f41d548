import packageLock from '../package-lock.json' with { type: 'json' }

/*
 * Lists the licences of the packages that are installed with `npm ci --omit=dev`. Fails when a licence is unknown, so
 * that a person decides about it.
 *
 * npm run licences
 */
const KNOWN = new Set([
  ...['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0', 'BlueOak-1.0.0', 'Unlicense'],
  'OFL-1.1' // the font of the page
])

const shipped = Object.entries<{ version?: string; license?: string; dev?: boolean }>(
  packageLock.packages
).filter(([path, { dev }]) => path !== '' && !dev)
const licences = Map.groupBy(shipped, ([, { license }]) => license ?? 'none')

for (const [licence, packages] of [...licences].sort()) {
  process.stdout.write(`${licence}\n`)
  for (const [path, { version }] of packages)
    process.stdout.write(`  ${path.replace(/^.*node_modules\//, '')} ${version}\n`)
}
const unknown = [...licences.keys()].filter(licence => !KNOWN.has(licence))
if (unknown.length > 0) {
  process.stderr.write(`not in the list of bin/licences.ts: ${unknown.join(', ')}\n`)
  process.exitCode = 1
}
