import { loadModules } from '../app.ts'

/*
 * Loads all modules of the service, so that their compiled code is kept in node_modules/.cache: for images, whose files
 * the service cannot change.
 *
 * node --import ./lib/requirements.js bin/compile.ts
 */
await loadModules()
