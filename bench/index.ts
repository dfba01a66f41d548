import { spawnSync } from 'node:child_process'

/*
 * Runs all benches that `npm run bench` runs, one after the other, each for a short time and in a process of its own.
 * `npm run bench -- client merge` runs some of them. Every bench can also run alone; its first comment describes the
 * measurement and the comparison.
 */
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
  'client.ts'
]
const names = process.argv.slice(2)
const timeoutMs = 180_000

for (const bench of benches) {
  if (names.length > 0 && !names.some(name => bench.startsWith(`${name}.`))) continue
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
