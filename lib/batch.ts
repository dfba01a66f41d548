interface Corkable {
  cork(): void
  uncork(): void
}

/** Sends everything that one tick writes to a stream in one system call. */
export function createBatch(stream: Corkable) {
  let isCorked = false

  return {
    /** Must be called before every write. */
    begin() {
      if (isCorked) return
      isCorked = true
      stream.cork()
      process.nextTick(flush)
    },
    flush
  }

  /** Sends what was written so far. */
  function flush() {
    if (!isCorked) return
    isCorked = false
    stream.uncork()
  }
}
