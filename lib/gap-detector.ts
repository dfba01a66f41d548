/**
 * Returns a detector of gaps in sequences whose numbers grow by one. It stores the last number of each sequence, for
 * the `max` most recently used sequences.
 */
export function createGapDetector(max: number) {
  const lastValues = new Map<string, number>()

  return {
    /**
     * Stores `value` as the last number of a sequence. Returns whether there is no gap: `value` is the previous number
     * plus one, or the first number of the sequence.
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
