import { setTimeout as sleep } from 'node:timers/promises'
import { type FaultName, faults } from './faults.ts'
import { type HarnessOptions, type Outcome, startHarness } from './harness.ts'

export interface SoakOptions extends HarnessOptions {
  ms: number
  /** injected one after the other in random order; may be empty */
  faults: FaultName[]
  onProgress?: (line: string) => void
}

export interface Report extends Outcome {
  seed: number
  minutes: number
  written: { done: number; refused: number }
  faults: Record<string, number>
}

const limits = { pauseMs: 3000 }

/**
 * Runs writers over HTTP and SQL, disconnecting subscribers and faults against real nodes. At the end, every subscriber
 * must have received exactly the events to which the rows of the log entitle it.
 */
export async function soak(options: SoakOptions): Promise<Report> {
  const { seed, ms, onProgress = () => {} } = options
  const begin = performance.now()
  const seconds = () => Math.round((performance.now() - begin) / 1000)
  const harness = await startHarness(options)
  const { random, written } = harness
  const injected: Record<string, number> = {}
  const violations: string[] = []
  try {
    await harness.run(async () => {
      const until = performance.now() + ms
      for (;;) {
        const pause = limits.pauseMs * random.next()
        await sleep(Math.min(pause, Math.max(until - performance.now(), 0)))
        if (performance.now() >= until) return
        if (options.faults.length === 0) continue
        const name = random.pick(options.faults)
        onProgress(`${seconds()} s: ${name}`)
        await faults[name](harness)
        injected[name] = (injected[name] ?? 0) + 1
      }
    })
    const minutes = Math.round(seconds() / 6) / 10
    onProgress(`${seconds()} s: writers have stopped, waiting for the last events`)
    const outcome = await harness.check()
    violations.push(...outcome.violations)
    return { seed, minutes, written, faults: injected, ...outcome, violations }
  } finally {
    violations.push(...(await harness.close()))
  }
}
