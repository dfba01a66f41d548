/** Detects gaps in sequences whose numbers grow by one, for the `max` most recently used sequences. */
export function createGapDetector(max: number) {
  const lastValues = new Map<string, number>()

  return {
    /** Stores `value`. Returns whether it is the first number of its sequence or the previous number plus one. */
    accept(sequence: string, value: number): boolean {
      const last = lastValues.get(sequence)
      lastValues.delete(sequence)
      lastValues.set(sequence, value)
      const [oldest] = lastValues.keys()
      if (lastValues.size > max && oldest !== undefined) lastValues.delete(oldest)
      return last === undefined || value === last + 1
    },

    reset() {
      lastValues.clear()
    }
  }
}
