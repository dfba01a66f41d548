import { existsSync, readFileSync, renameSync, symlinkSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { patchDriver } from '../lib/driver.js'

linkNode()
patchDriver()

/**
 * Makes the installed package of Node the `node` of all commands. npm 10 links it and then deletes the link together
 * with those of the packages for other platforms, which have the same name.
 */
function linkNode() {
  const { optionalDependencies } = JSON.parse(readFileSync(pathOf('package.json'), 'utf8'))
  const installed = Object.keys(optionalDependencies)
    .map(name => `${name}/bin/node`)
    .find(program => existsSync(pathOf(`node_modules/${program}`)))
  const link = pathOf('node_modules/.bin/node')
  if (!installed || existsSync(link)) return
  symlinkSync(`../${installed}`, `${link}.new`)
  renameSync(`${link}.new`, link)
}

function pathOf(name) {
  return fileURLToPath(new URL(`../${name}`, import.meta.url))
}
