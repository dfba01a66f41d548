import { connectionAttacks } from './attacks/connections.ts'
import { operationAttacks } from './attacks/operations.ts'
import { requestAttacks } from './attacks/requests.ts'
import { sqlAttacks } from './attacks/sql.ts'
import type { Tools } from './tools.ts'

export interface Attack {
  /** Describes the attack in one line. */
  what: string
  /** The measurements that the attack may delay: it holds what every writer needs. */
  delays?: ('push' | 'read' | 'delivery')[]
  /** Makes accounts and lists. Returns what plays the attack, which may go on until its process ends. */
  prepare(tools: Tools): Promise<() => unknown>
}

/** All attacks, in the order in which they are played. Accounts are ordinary: anyone may sign up. */
export const attacks: Record<string, Attack> = {
  ...operationAttacks,
  ...sqlAttacks,
  ...connectionAttacks,
  ...requestAttacks
}
