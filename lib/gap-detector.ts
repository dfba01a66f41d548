/**
 * Returns a detector of gaps in sequences of numbers that grow by one. It stores the last number of the `max`
 * sequences that were used last.
 */
export function createGapDetector(max: number) {
  const lastValues = new Map<string, number>()

  return {
    /**
     * Stores `value` as the last number of a sequence. Returns whether it follows the number before it; the first
     * number of a sequence always does.
     */
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
