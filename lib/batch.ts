interface Corkable {
  cork(): void
  uncork(): void
}

/** Combines all writes to a stream within one tick into one system call. */
export function createBatch(stream: Corkable) {
  let isCorked = false

  return {
    /** Starts a batch, if none is open. Must be called before every write. */
    begin() {
      if (isCorked) return
      isCorked = true
      stream.cork()
      process.nextTick(flush)
    },
    flush
  }

  /** Sends the bytes that were written so far. */
  function flush() {
    if (!isCorked) return
    isCorked = false
    stream.uncork()
  }
}
