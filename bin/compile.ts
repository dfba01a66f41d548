import { glob } from 'node:fs/promises'
import { join } from 'node:path'

/*
 * Loads all modules of the service, so that their compiled code is kept in node_modules/.cache: for images, whose files
 * the service cannot change.
 *
 * node --import ./lib/requirements.js bin/compile.ts
 */
const root = join(import.meta.dirname, '..')
for await (const file of glob('{app.ts,{plugins,routes}/**/*.ts}', { cwd: root })) {
  await import(join(root, file))
}
