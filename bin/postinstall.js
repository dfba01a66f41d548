import { existsSync, readFileSync, renameSync, symlinkSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { patchDriver } from '../lib/driver.js'

linkNode()
patchDriver()

/**
 * Links the installed Node package as `node_modules/.bin/node`, which all npm scripts run. npm 10 creates this link
 * too, but deletes it with the links of the packages for other platforms, which have the same name.
 */
function linkNode() {
  const { optionalDependencies } = JSON.parse(readFileSync(toPath('package.json'), 'utf8'))
  const installed = Object.keys(optionalDependencies)
    .map(name => `${name}/bin/node`)
    .find(program => existsSync(toPath(`node_modules/${program}`)))
  const link = toPath('node_modules/.bin/node')
  if (!installed || existsSync(link)) return
  symlinkSync(`../${installed}`, `${link}.new`)
  renameSync(`${link}.new`, link)
}

function toPath(name) {
  return fileURLToPath(new URL(`../${name}`, import.meta.url))
}
