import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { attacks } from './attacks.ts'
import { createTools } from './tools.ts'
import { createTraffic } from './traffic.ts'

/** The task of the child process. */
export interface Order {
  name: string
  url: string
  databaseUrl: string
  seconds: number
}

/** The report of the child process. */
export interface Report {
  requests: number
  bytesSent: number
  cpuSeconds: number
  /** How often each answer was received. */
  answers: Record<string, number>
}

/*
 * Plays one attack in a process of its own, so that it takes no time from the measurements: prepares it, waits, plays
 * it for some seconds, and ends with everything that it has open.
 */
const traffic = createTraffic()
process.on('disconnect', () => process.exit(1))
const [order] = (await once(process, 'message')) as [Order]
const tools = createTools(order)
const play = await attacks[order.name]?.prepare(tools)
if (!play) throw new Error(`there is no attack ${order.name}`)
process.send?.('ready')
await once(process, 'message')

tools.reset()
const sentBefore = traffic.bytesSent
const cpuBefore = process.cpuUsage()
await Promise.all([play(), sleep(order.seconds * 1000).then(end)])

function end() {
  const { user, system } = process.cpuUsage(cpuBefore)
  const report: Report = {
    ...tools.counts,
    bytesSent: traffic.bytesSent - sentBefore,
    cpuSeconds: (user + system) / 1e6
  }
  process.send?.(report, () => process.exit())
}
