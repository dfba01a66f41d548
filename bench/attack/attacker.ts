import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Order, Report } from './child.ts'

/** Starts the process of an attack. Resolves when the attack is prepared. */
export async function startAttacker(order: Order) {
  const child = fork(join(import.meta.dirname, 'child.ts'))
  const exited = once(child, 'exit')
  child.send(order)
  await message()

  return {
    /** Plays the attack, which has ended when this resolves. */
    async play(): Promise<Report> {
      child.send('go')
      const report = await message<Report>()
      await exited
      return report
    }
  }

  async function message<T>(): Promise<T> {
    const ended = exited.then(() => {
      throw new Error(`the process of the attack "${order.name}" has ended early`)
    })
    const [received] = await Promise.race([once(child, 'message'), ended])
    return received
  }
}
