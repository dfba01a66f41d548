import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'

const root = join(import.meta.dirname, '../..')

type Fixture = NonNullable<Parameters<Test['testdir']>[0]>

/** Returns the errors of the TypeScript compiler in these files, which may import each other, or '' if there are none. */
export function typeErrors(
  t: Test,
  files: Record<string, Fixture>,
  compilerOptions: Record<string, unknown> = {}
): string {
  const folder = t.testdir({
    ...files,
    'package.json': '{ "type": "module" }',
    'tsconfig.json': JSON.stringify({
      extends: join(root, 'client/tsconfig.json'),
      compilerOptions: { skipLibCheck: false, ...compilerOptions },
      include: ['*.ts']
    })
  })
  const tsc = join(root, 'node_modules/.bin/tsc')
  const { status, stdout, stderr } = spawnSync(tsc, ['--singleThreaded', '-p', folder], {
    encoding: 'utf8'
  })
  if (status !== 0 && stdout === '') throw new Error(`the compiler failed: ${stderr}`)
  return stdout.trim()
}
