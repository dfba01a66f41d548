/**
 * Runs `task` every `ms` milliseconds. A turn is skipped while the previous run is still going on. `task` must not
 * reject. Returns a function that stops the runs and resolves when the last run has ended.
 */
export function every(ms: number, task: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  const timer = setInterval(() => {
    running ??= task().finally(() => {
      running = undefined
    })
  }, ms)
  timer.unref()
  return async () => {
    clearInterval(timer)
    await running
  }
}
