import { existsSync, readFileSync, renameSync, symlinkSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { patchDriver } from '../lib/driver.js'

linkNode()
await patchDriver()

/**
 * Creates the link `node_modules/.bin/node` to the installed Node package. All npm scripts run this Node. npm 10
 * creates the link too, but deletes it again: the packages for other platforms have links with the same name, and npm
 * removes these.
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
