import { connectionAttacks } from './attacks/connections.ts'
import { operationAttacks } from './attacks/operations.ts'
import { requestAttacks } from './attacks/requests.ts'
import { sqlAttacks } from './attacks/sql.ts'
import type { Tools } from './tools.ts'

export interface Attack {
  /** one line */
  description: string
  /** measurements that have no target, because the attack holds a lock that every writer needs */
  delays?: ('push' | 'read' | 'delivery')[]
  /** Creates accounts and lists. Returns the function that runs the attack; it may run until its process exits. */
  prepare(tools: Tools): Promise<() => unknown>
}

/** All attacks, in the order in which they run. Their accounts have no special rights. */
export const attacks: Record<string, Attack> = {
  ...operationAttacks,
  ...sqlAttacks,
  ...connectionAttacks,
  ...requestAttacks
}
