export type Counter = ReturnType<typeof createCounter>

/** Counts requests and frames, and the responses of each kind. */
export function createCounter() {
  const responses = new Map<string, number>()
  let requests = 0

  return {
    addRequest() {
      requests++
    },

    addResponse(kind: string) {
      responses.set(kind, (responses.get(kind) ?? 0) + 1)
    },

    get counts() {
      return { requests, responses: Object.fromEntries(responses) }
    },

    /** Sets all counts to zero, after the preparation of an attack. */
    reset() {
      requests = 0
      responses.clear()
    }
  }
}
