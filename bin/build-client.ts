import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildPackage } from '../lib/client-bundle.ts'
import { describeClient } from '../lib/client-declarations.ts'

// Writes what the npm package contains, because Node runs no TypeScript in node_modules. `npm pack` runs this command.

const folder = join(import.meta.dirname, '../dist/client')

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
writeFileSync(join(folder, 'index.js'), await buildPackage())
writeFileSync(join(folder, 'index.d.ts'), await describeClient())
