import { withTimeout } from '../../lib/with-timeout.ts'

/** What is awaited, by who sees it and how. */
export type Sights = Record<string, Promise<unknown>>

export type Timeline = ReturnType<typeof createTimeline>

/** Tells what people do and who sees it after how many milliseconds, and remembers what nobody saw. */
export function createTimeline({
  deadlineMs,
  print
}: {
  deadlineMs: number
  print: (line: string) => void
}) {
  const start = performance.now()
  const latencies: number[] = []
  let failures = 0

  return {
    /** Does something and waits until everybody has seen it; answers what doing it answered. */
    async step<T>(what: string, act: () => T | Promise<T>, sights: Sights = {}): Promise<T> {
      const begin = performance.now()
      const times = Object.values(sights).map(sight => timed(sight, begin))
      const result = await withTimeout(Promise.resolve(act()), deadlineMs)
      print(`${((begin - start) / 1000).toFixed(2).padStart(6)} s  ${what}`)
      for (const [n, who] of Object.keys(sights).entries()) tellSight(who, await times[n])
      return result
    },

    /** Something that must be so. */
    check(what: string, isSo: boolean) {
      if (!isSo) failures++
      print(`            ${isSo ? '✓' : '✗'} ${what}${isSo ? '' : ': NO'}`)
    },

    /** The last words; answers whether everything was seen. */
    end(): boolean {
      const seconds = ((performance.now() - start) / 1000).toFixed(1)
      const sorted = latencies.toSorted((a, b) => a - b)
      const median = sorted[sorted.length >> 1] ?? 0
      print('')
      if (failures === 0) {
        print(
          `Everything was seen: ${sorted.length} times, after ${shown(median)} in the median and ${shown(sorted.at(-1) ?? 0)} at most. ${seconds} s in all.`
        )
      } else print(`${failures} of these were NOT as they should be. ${seconds} s in all.`)
      return failures === 0
    }
  }

  function tellSight(who: string, ms: number | undefined) {
    if (ms === undefined) failures++
    else latencies.push(ms)
    const when = ms === undefined ? `NOT within ${deadlineMs} ms` : shown(ms)
    print(`            → ${who.padEnd(60)} ${when.padStart(9)}`)
  }

  /** Milliseconds from `begin` until a promise resolves, undefined when it does not in time. */
  async function timed(sight: Promise<unknown>, begin: number): Promise<number | undefined> {
    const timeout = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => timeout.resolve(undefined), deadlineMs)
    const arrival: Promise<number | undefined> = sight.then(
      () => performance.now() - begin,
      () => undefined
    )
    const ms = await Promise.race([arrival, timeout.promise])
    clearTimeout(timer)
    return ms
  }
}

function shown(ms: number): string {
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`
}
