import { setTimeout as sleep } from 'node:timers/promises'
import { type FaultName, faults } from './faults.ts'
import { createStage, type StageOptions, type Verdict } from './harness.ts'

export interface SoakOptions extends StageOptions {
  ms: number
  /** which faults happen, one after the other, at random; none: a quiet day */
  faults: FaultName[]
  onProgress?: (line: string) => void
}

export interface Report extends Verdict {
  seed: number
  minutes: number
  written: { done: number; refused: number }
  faults: Record<string, number>
}

const limits = { calmMs: 3000 }

/**
 * Real nodes on a real database, people who write in every way there is, subscribers who come and go, and
 * faults. At the end every subscriber must have been told exactly what SQL says they were entitled to.
 */
export async function soak(options: SoakOptions): Promise<Report> {
  const { seed, ms, onProgress = () => {} } = options
  const begin = performance.now()
  const seconds = () => Math.round((performance.now() - begin) / 1000)
  const stage = await createStage(options)
  const { random, written } = stage
  const happened: Record<string, number> = {}
  const wrong: string[] = []
  try {
    await stage.play(async () => {
      const until = performance.now() + ms
      for (;;) {
        const pause = limits.calmMs * random.next()
        await sleep(Math.min(pause, Math.max(until - performance.now(), 0)))
        if (performance.now() >= until) return
        if (options.faults.length === 0) continue
        const name = random.pick(options.faults)
        onProgress(`${seconds()} s: ${name}`)
        await faults[name](stage)
        happened[name] = (happened[name] ?? 0) + 1
      }
    })
    const minutes = Math.round(seconds() / 6) / 10
    onProgress(`${seconds()} s: everybody is quiet, waiting for the last to be told`)
    const verdict = await stage.judge()
    wrong.push(...verdict.wrong)
    return { seed, minutes, written, faults: happened, ...verdict, wrong }
  } finally {
    wrong.push(...(await stage.close()))
  }
}
