import { randomUUID } from 'node:crypto'
import postgres from 'postgres'
import { connectionOptions } from '../../lib/postgres/connection.ts'
import type { Sql } from '../../sql/executor.ts'
import { addChecklist, type Headers, registerUser } from '../support/client.ts'
import { compare, measure } from '../support/compare.ts'
import { openConnections } from '../support/connections.ts'
import { readMemory } from '../support/cpu.ts'
import { onEnd } from '../support/ends.ts'
import { cursorOf, fillLog } from '../support/log.ts'
import { startService } from '../support/service.ts'
import { percentile } from '../support/statistics.ts'

/*
 * Measures streams that resume with a cursor 1,000 events old: one client, then 50 at once. There is no peer: the aim
 * is that neither time nor memory depends on the length of the log.
 */
const missed = 1000
const size = { items: 100, together: 50, alone: 10 }

await compare<number>({
  title: 'Resuming with 1,000 events',
  loads: Object.fromEntries([3, 4, 5, 6].map(power => [`10^${power} events in the log`, power])),
  async start(env) {
    const sql: Sql = postgres(env.DATABASE_URL, { ...connectionOptions(), max: 1 })
    onEnd(() => sql.end())
    return [
      {
        name: 'service',
        async round(power) {
          // Each round starts the service anew, so that no event is in its memory yet.
          const first = await startService(env)
          await fillLog(sql, 10 ** power)
          const { headers } = await registerUser(first.url)
          const items = Array.from({ length: size.items }, () => ({
            itemId: randomUUID(),
            text: 'Order 12 white chairs for the summer fair'
          }))
          const { id } = await addChecklist(first.url, headers, items)
          const cursor = await cursorOf(first.url, headers)
          await first.stop()
          for (let n = 0; n < missed / size.items; n++)
            await sql`update checklist_items set done = not done where checklist_id = ${id}`
          const service = await startService(env)
          const resumeAll = (count: number) =>
            resume(service.url, { ...headers, 'last-event-id': cursor }, count)
          const times: number[] = []
          while (times.length < size.alone) times.push(await resumeAll(1))
          const before = await readMemory(service.pid)
          const figures = await measure('stream', service.pid, async () => ({
            count: size.together,
            'the first, from the log, ms': times[0] ?? 0,
            'one of the next, from memory, ms': percentile(times.slice(1), 0.5),
            '50 at once, ms': await resumeAll(size.together)
          }))
          const growth = ((await readMemory(service.pid)) - before) / 2 ** 20
          await service.stop()
          return { ...figures, 'memory grew by MB': growth }
        }
      }
    ]
  }
})

/** Returns in how many milliseconds all clients have received all events. */
async function resume(url: string, headers: Headers, count: number): Promise<number> {
  const options = { url, headers, count, kind: 'stream' as const, opened: 'HTTP/1.1 200' }
  const connections = await openConnections(options)
  await connections.waitUntilReceived(count * missed)
  const ms = performance.now() - connections.start
  await connections.close()
  return ms
}
