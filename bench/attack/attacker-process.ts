import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { attacks } from './attacks.ts'
import { createTools } from './tools.ts'
import { countTraffic } from './traffic.ts'

/** The message that starts the preparation of an attack in the attacker process. */
export interface AttackOrder {
  name: string
  url: string
  databaseUrl: string
  seconds: number
}

/** The result of an attack, which the attacker process sends to its parent. */
export interface AttackerReport {
  requests: number
  bytesSent: number
  cpuSeconds: number
  /** number of responses by kind */
  responses: Record<string, number>
}

/*
 * Runs one attack in a process of its own, so that it does not block the measurements: prepares the attack, waits for a
 * message, runs the attack for some seconds, sends its result, and exits, which closes all its connections.
 */
const traffic = countTraffic()
process.on('disconnect', () => process.exit(1))
const [order] = (await once(process, 'message')) as [AttackOrder]
const tools = createTools(order)
const run = await attacks[order.name]?.prepare(tools)
if (!run) throw new Error(`there is no attack ${order.name}`)
process.send?.('ready')
await once(process, 'message')

tools.counter.reset()
const sentBefore = traffic.bytesSent
const cpuBefore = process.cpuUsage()
await Promise.all([run(), sleep(order.seconds * 1000).then(end)])

function end() {
  const { user, system } = process.cpuUsage(cpuBefore)
  const report: AttackerReport = {
    ...tools.counter.counts,
    bytesSent: traffic.bytesSent - sentBefore,
    cpuSeconds: (user + system) / 1e6
  }
  process.send?.(report, () => process.exit())
}
