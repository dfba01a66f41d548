import type { Notices, Result } from './types.ts'

type Totals = Notices['caughtUp']

export type Absence = ReturnType<typeof createAbsence>

/** Counts what happens from the loss of the connection until everything is sent again. A new one has begun. */
export function createAbsence() {
  let totals: Totals | undefined = none()
  /** whether an operation has waited for the connection */
  let hasWaited = false

  return {
    begin() {
      totals ??= none()
    },

    wait() {
      hasWaited = true
    },

    countChanges(many: number) {
      if (totals) totals.changesOfOthers += many
    },

    countResult({ outcome }: Result) {
      if (!totals) return
      totals.sent++
      if (outcome === 'conflict') totals.conflicts++
      else if (outcome !== 'applied' && outcome !== 'noop') totals[outcome]++
    },

    /** Returns the totals when something has waited and was sent. */
    end(): Totals | undefined {
      const result = hasWaited && totals?.sent ? totals : undefined
      totals = undefined
      hasWaited = false
      return result
    }
  }
}

const none = (): Totals => ({
  ...{ sent: 0, merged: 0, conflicts: 0, dropped: 0, rejected: 0, changesOfOthers: 0 }
})
