import type { Readiness } from '../../schemas/health.ts'

/** Returns the worst of each part. A worker that is missing or does not respond, `undefined`, makes the node unavailable. */
export function readinessOfNode(workers: (Readiness | undefined)[]): Readiness {
  const known = workers.filter(worker => worker !== undefined)
  const statuses = workers.map(worker => worker?.status ?? 'unavailable')
  return {
    status: worst(statuses, ['ready', 'unavailable', 'draining']),
    database: worst(
      known.map(({ database }) => database),
      ['up', 'down']
    ),
    listener: worst(
      known.map(({ listener }) => listener),
      ['up', 'polling', 'down']
    ),
    lag: Math.max(0, ...known.map(({ lag }) => lag))
  }
}

/** Returns the value that is last in `order`. */
function worst<T>(values: T[], order: [T, ...T[]]): T {
  return order.findLast(value => values.includes(value)) ?? order[0]
}
