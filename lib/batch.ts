interface Corkable {
  cork(): void
  uncork(): void
}

/** Combines all writes to a stream within one tick into one system call. */
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

  function flush() {
    if (!isCorked) return
    isCorked = false
    stream.uncork()
  }
}
