import fc from 'fast-check'
import type { Test } from 'tap'
import { startNode } from '../../support/app.ts'
import { openSql } from '../../support/database.ts'
import { tcpProxy } from '../../support/tcp-proxy.ts'
import { createUser } from '../../support/users.ts'
import { type Command, weights } from './commands.ts'
import { createWorld } from './world.ts'

export interface Simulation {
  databaseUrl: string
  runs: number
  /** how many runs are made at the same time */
  lanes: number
  /** Repeats a failed run with the same number of devices. */
  repeat?: { seed: number; path: string; size: number }
  /** Called after each run. */
  onRun?: () => void
  /** Ends the simulation after the current runs. */
  isOver?: () => boolean
}

/** A run that broke a rule. `repeat` repeats it. */
export interface Failure {
  repeat: string
  error: Error
}

class Over extends Error {}

/** how many lines of the trace of a failed run are reported */
const traced = 500
const names = ['Ann', 'Bob', 'Cleo', 'Dan']

const kinds = fc.oneof(
  ...Object.entries(weights).map(([kind, weight]) => ({
    weight,
    arbitrary: fc.constant(kind as Command['kind'])
  }))
)
const number = fc.nat(999)
const command = fc.record({ kind: kinds, numbers: fc.tuple(number, number, number, number) })
const commands = fc.array(command, { minLength: 60, maxLength: 60, size: 'max' })

/**
 * Runs random commands on two to four clients of one checklist, against one node of the service, and checks the
 * invariants of the client after each command and at the end of each run. Returns the failures.
 */
export async function simulate(
  t: Pick<Test, 'teardown'>,
  { databaseUrl, runs, lanes, repeat, onRun = () => {}, isOver = () => false }: Simulation
): Promise<Failure[]> {
  const { app, url } = await startNode(t, {
    DATABASE_URL: databaseUrl,
    // A tab that is killed while it refreshes does not store the new cookie, as a real browser would.
    REFRESH_GRACE: '3600'
  })
  const sql = openSql(t, databaseUrl, 2 * lanes)
  const failures: Failure[] = []
  await Promise.all(
    Array.from({ length: lanes }, (_, lane) => runLane(repeat?.size ?? 2 + (lane % 3)))
  )
  return failures

  async function runLane(size: number) {
    const devices = await Promise.all(
      names.slice(0, size).map(async name => ({
        user: await createUser(app, name),
        proxy: await tcpProxy(t, url)
      }))
    )
    const property = fc.asyncProperty(commands, async steps => {
      if (isOver()) throw new Over()
      const world = await createWorld({ sql, devices })
      try {
        for (const step of steps) await world.run(step)
        await world.finish()
      } catch (error) {
        throw new Error(`${(error as Error).message}\n${world.trace.slice(-traced).join('\n')}`)
      } finally {
        await world.close()
        onRun()
      }
    })
    const { seed, counterexamplePath, errorInstance } = await fc.check(property, {
      numRuns: Math.ceil(runs / lanes),
      endOnFailure: true,
      ...(repeat && { seed: repeat.seed, path: repeat.path })
    })
    if (counterexamplePath === null || errorInstance instanceof Over) return
    failures.push({
      repeat: `${seed} ${counterexamplePath} ${size}`,
      error: errorInstance as Error
    })
  }
}
