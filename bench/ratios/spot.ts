import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { addChecklist, connectLive, registerUser } from '../support/client.ts'
import { compare, measure } from '../support/compare.ts'
import { newItem } from '../support/load.ts'
import { startService } from '../support/service.ts'
import { percentile } from '../support/statistics.ts'

/*
 * Measures insertions at one place of a list, which use up the gap between two positions again and again. There is no
 * peer: the aim is few events for each insertion.
 */
await compare<number>({
  title: 'Insertions at one place',
  loads: { '998 in a list of two': 998 },
  async start(env) {
    const { url, pid } = await startService(env)
    const { headers } = await registerUser(url)
    return [
      {
        name: 'service',
        async round(count) {
          const [first, last] = [newItem(), newItem()]
          const { id } = await addChecklist(url, headers, [first, last])
          const socket = connectLive(url, headers)
          await once(socket, 'message')
          const revBefore = await readRev(id)
          const figures = await measure('insertion', pid, async () => {
            const times: number[] = []
            while (times.length < count) {
              const start = performance.now()
              const op = { opId: randomUUID(), kind: 'item.add', after: first.itemId }
              const ops = [{ ...op, itemId: randomUUID(), text: 'Order 12 white chairs' }]
              socket.send(JSON.stringify({ type: 'push', checklistId: id, ops }))
              const [message] = await once(socket, 'message')
              if (!message.includes('"applied"')) throw new Error(`unexpected: ${message}`)
              times.push(performance.now() - start)
            }
            return { count, 'p50 ms': percentile(times, 0.5), 'worst ms': Math.max(...times) }
          })
          socket.terminate()
          return { ...figures, events: (await readRev(id)) - revBefore }
        }
      }
    ]

    async function readRev(id: string): Promise<number> {
      const response = await fetch(`${url}/checklists/${id}`, { headers })
      return ((await response.json()) as { rev: number }).rev
    }
  }
})
