import type { Test } from 'tap'

/** Stops a process as a machine does that hangs: its connections stay open and silent. Answers the way to let it go on. */
export function suspend(t: Test, pid: number): () => void {
  process.kill(pid, 'SIGSTOP')
  const resume = () => {
    try {
      process.kill(pid, 'SIGCONT')
    } catch {
      // gone meanwhile
    }
  }
  t.teardown(resume)
  return resume
}
