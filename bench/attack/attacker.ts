import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { AttackerReport, AttackOrder } from './attacker-process.ts'

/** Starts the attacker process. Resolves when the attack has been prepared. */
export async function startAttacker(order: AttackOrder) {
  const child = fork(join(import.meta.dirname, 'attacker-process.ts'))
  const exited = once(child, 'exit')
  child.send(order)
  await message()

  return {
    /** Runs the attack. Resolves with its result when it has ended. */
    async run(): Promise<AttackerReport> {
      child.send('start')
      const report = await message<AttackerReport>()
      await exited
      return report
    }
  }

  async function message<T>(): Promise<T> {
    const ended = exited.then(() => {
      throw new Error(`the process of the attack "${order.name}" exited early`)
    })
    const [received] = await Promise.race([once(child, 'message'), ended])
    return received
  }
}
