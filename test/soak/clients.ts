import { simulate } from '../client/simulation/simulate.ts'
import { createPostgres } from './postgres.ts'

export interface ClientSoak {
  ms: number
  lanes: number
  /** seed, path and number of devices of a failed run */
  repeat?: string
  onProgress: (line: string) => void
}

/** Simulates clients on one node until the time is over. Returns whether all runs kept the rules. */
export async function soakClients({ ms, lanes, repeat, onProgress }: ClientSoak): Promise<boolean> {
  const end = Date.now() + ms
  const [seed = 0, path = '', size = 0] = repeat?.split(' ') ?? []
  const ends: (() => unknown)[] = []
  const postgres = await createPostgres()
  let runs = 0
  const failures = await simulate(
    { teardown: run => ends.unshift(run as () => unknown) },
    {
      databaseUrl: postgres.url,
      runs: repeat ? 1 : Number.MAX_SAFE_INTEGER,
      lanes: repeat ? 1 : lanes,
      ...(repeat && { repeat: { seed: Number(seed), path, size: Number(size) } }),
      onRun() {
        if (++runs % 20 === 0) onProgress(`${runs} runs`)
      },
      isOver: () => Date.now() > end
    }
  )
  for (const run of ends) await run()
  await postgres.remove()
  for (const { repeat, error } of failures)
    onProgress(`failed: npm run soak -- --clients --repeat '${repeat}'\n${error.message}`)
  onProgress(`${runs} runs, ${failures.length} failed`)
  return failures.length === 0
}
