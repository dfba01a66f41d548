/**
 * Runs `task` every `ms` milliseconds, and never twice at once: a run that takes longer delays the next one. `task` must
 * not reject. Returns a function that stops the runs and resolves when the last one has ended.
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
