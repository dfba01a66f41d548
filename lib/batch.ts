/** What can be told to keep what is written, and to send it in one go. */
interface Corkable {
  cork(): void
  uncork(): void
}

/** Gathers what one tick writes into one system call. */
export function createBatch(wire: Corkable) {
  let isCorked = false

  return {
    /** To be called before every write. */
    begin() {
      if (isCorked) return
      isCorked = true
      wire.cork()
      process.nextTick(flush)
    },
    flush
  }

  /** Sends what was written so far. */
  function flush() {
    if (!isCorked) return
    isCorked = false
    wire.uncork()
  }
}
