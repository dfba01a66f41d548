import { spawnSync } from 'node:child_process'

/*
 * Runs all benches of this list, one after the other, each for a short time and in a process of its own. Every bench can
 * also run alone; its first comment describes the measurement and the comparison.
 *
 * npm run bench [-- name of one bench, and its arguments]
 */
const [name, ...args] = process.argv.slice(2)
const benches = [
  'http.ts',
  'operations.ts',
  'presence.ts',
  'presence-ticks.ts 3',
  'fanout.ts',
  'slow.ts',
  'flood.ts',
  'timing.ts 600',
  'merge.ts 5000',
  'client.ts',
  'page.ts',
  'readers.ts 2',
  'workers.ts 3'
]
const timeoutMs = name ? undefined : 180_000

for (const bench of name ? [[`${name}.ts`, ...args].join(' ')] : benches) {
  const start = performance.now()
  console.log(`\n# node bench/${bench}`)
  const { status } = spawnSync(process.execPath, bench.split(' '), {
    cwd: import.meta.dirname,
    stdio: 'inherit',
    timeout: timeoutMs
  })
  const seconds = Math.round((performance.now() - start) / 1000)
  console.log(status === 0 ? `# finished in ${seconds} s` : `# failed after ${seconds} s`)
  if (status !== 0) process.exitCode = 1
}
