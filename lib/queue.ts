/**
 * Runs at most `running` jobs at once and lets `waiting` more wait for their turn.
 * A job beyond both is not taken: what `refuse` makes is thrown.
 */
export function boundedQueue(
  { running, waiting }: { running: number; waiting: number },
  refuse: () => Error
) {
  const queue: (() => void)[] = []
  let free = running

  async function turn(): Promise<void> {
    if (free > 0) {
      free--
      return
    }
    if (queue.length >= waiting) throw refuse()
    await new Promise<void>(resolve => queue.push(resolve))
  }

  // A place goes straight to the next in line: a newcomer cannot take it in between.
  function done(): void {
    const next = queue.shift()
    if (next) next()
    else free++
  }

  return async function run<T>(job: () => Promise<T>): Promise<T> {
    await turn()
    try {
      return await job()
    } finally {
      done()
    }
  }
}
