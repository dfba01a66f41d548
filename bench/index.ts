import { spawnSync } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'

/*
 * Runs all benches, one after the other, each in a process of its own that ends after some minutes. Those of `ratios/`
 * compare the service with peers. Every bench can also run alone; its first comment describes it.
 *
 * npm run bench [-- name of one bench, and its arguments]
 */
const [name, ...args] = process.argv.slice(2)
const others = [
  'presence.ts',
  'presence-ticks.ts 3',
  'slow.ts',
  'flood.ts',
  'timing.ts 600',
  'merge.ts 5000',
  'client.ts',
  'page.ts',
  'readers.ts 2',
  'workers.ts 3'
]
const cwd = import.meta.dirname
const timeoutMs = name ? undefined : 600_000

for (const bench of name ? [find(name)] : [...globSync('ratios/*.ts', { cwd }).sort(), ...others]) {
  const start = performance.now()
  const command = [...bench.split(' '), ...args]
  console.log(`\n# node bench/${command.join(' ')}`)
  const { status } = spawnSync(process.execPath, command, {
    cwd,
    stdio: 'inherit',
    timeout: timeoutMs
  })
  const seconds = Math.round((performance.now() - start) / 1000)
  console.log(status === 0 ? `# finished in ${seconds} s` : `# failed after ${seconds} s`)
  if (status !== 0) process.exitCode = 1
}

function find(name: string): string {
  const ratio = `ratios/${name}.ts`
  return existsSync(`${cwd}/${ratio}`) ? ratio : `${name}.ts`
}
