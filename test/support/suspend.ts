import type { Test } from 'tap'

/**
 * Stops a process with SIGSTOP, as if its machine hung: its connections stay open and silent. Returns a function that
 * lets it continue; the end of the test calls it, too.
 */
export function suspend(t: Test, pid: number): () => void {
  process.kill(pid, 'SIGSTOP')
  const resume = () => {
    try {
      process.kill(pid, 'SIGCONT')
    } catch {
      // It has exited meanwhile.
    }
  }
  t.teardown(resume)
  return resume
}
