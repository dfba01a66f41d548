import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'

/**
 * Stops a process with SIGSTOP, as if its machine hung: its connections stay open and silent. Returns a function that
 * continues the process, which is also called when the test ends.
 */
export function suspend(t: Test, pid: number): () => void {
  process.kill(pid, 'SIGSTOP')
  const resume = () => {
    try {
      process.kill(pid, 'SIGCONT')
    } catch {
      // The process has exited meanwhile.
    }
  }
  t.teardown(resume)
  return resume
}

/** Suspends the connection with which a node reads the log. Returns a function that resumes it. */
export async function suspendTail(t: Test, { sql }: FastifyInstance) {
  const [tail] = await sql<[{ pid: number }]>`
    select pid
    from pg_stat_activity
    where application_name = 'concord tail'
    and datname = current_database()`
  return suspend(t, tail.pid)
}
