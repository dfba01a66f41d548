import { withTimeout } from '../../lib/with-timeout.ts'

/** The deliveries that a step causes. The key of each delivery describes its receiver. */
export type Deliveries = Record<string, Promise<unknown>>

export type Timeline = ReturnType<typeof createTimeline>

/**
 * Returns functions that print each step, its deliveries and their latencies. Counts deliveries and conditions that
 * failed; a delivery fails when it takes longer than `deadlineMs`.
 */
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
    /** Runs a step, waits for its deliveries and prints them. Returns the result of the step. */
    async step<T>(
      description: string,
      run: () => T | Promise<T>,
      deliveries: Deliveries = {}
    ): Promise<T> {
      const begin = performance.now()
      const times = Object.values(deliveries).map(delivery => measure(delivery, begin))
      const result = await withTimeout(Promise.resolve(run()), deadlineMs)
      print(`${((begin - start) / 1000).toFixed(2).padStart(6)} s  ${description}`)
      for (const [n, receiver] of Object.keys(deliveries).entries()) {
        printDelivery(receiver, await times[n])
      }
      return result
    },

    /** Prints whether a condition is met. */
    check(description: string, isMet: boolean) {
      if (!isMet) failures++
      print(`            ${isMet ? '✓' : '✗'} ${description}${isMet ? '' : ': NO'}`)
    },

    /** Prints the summary. Returns whether all deliveries arrived in time and all conditions were met. */
    end(): boolean {
      const seconds = ((performance.now() - start) / 1000).toFixed(1)
      const sorted = latencies.toSorted((a, b) => a - b)
      const [median, max] = [sorted[sorted.length >> 1] ?? 0, sorted.at(-1) ?? 0]
      print('')
      if (failures === 0) {
        print(
          `All ${sorted.length} deliveries arrived: median ${formatMs(median)}, maximum ${formatMs(max)}. The demo took ${seconds} s.`
        )
      } else print(`${failures} deliveries or checks FAILED. The demo took ${seconds} s.`)
      return failures === 0
    }
  }

  function printDelivery(receiver: string, ms: number | undefined) {
    if (ms === undefined) failures++
    else latencies.push(ms)
    const latency = ms === undefined ? `NOT within ${deadlineMs} ms` : formatMs(ms)
    print(`            → ${receiver.padEnd(60)} ${latency.padStart(9)}`)
  }

  /**
   * Returns the milliseconds from `begin` until a delivery. Returns undefined when the delivery fails or takes longer
   * than `deadlineMs`.
   */
  async function measure(delivery: Promise<unknown>, begin: number): Promise<number | undefined> {
    const timeout = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => timeout.resolve(undefined), deadlineMs)
    const arrival: Promise<number | undefined> = delivery.then(
      () => performance.now() - begin,
      () => undefined
    )
    const ms = await Promise.race([arrival, timeout.promise])
    clearTimeout(timer)
    return ms
  }
}

function formatMs(ms: number): string {
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`
}
