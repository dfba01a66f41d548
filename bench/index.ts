import { spawnSync } from 'node:child_process'

/*
 * What `npm run bench` runs, one after the other, each in a process of its own and kept short: every file
 * also runs alone, and says what it measures and beside what.
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
  'merge.ts 5000'
]
const longestMs = 180_000

for (const bench of benches) {
  const start = performance.now()
  console.log(`\n# node bench/${bench}`)
  const { status } = spawnSync(process.execPath, bench.split(' '), {
    cwd: import.meta.dirname,
    stdio: 'inherit',
    timeout: longestMs
  })
  const seconds = Math.round((performance.now() - start) / 1000)
  console.log(status === 0 ? `# ${seconds} s` : `# failed after ${seconds} s`)
  if (status !== 0) process.exitCode = 1
}
