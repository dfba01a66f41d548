import type { ProcessChannel } from '../../lib/channel.ts'
import type { Source } from './log-source.ts'
import { createPageQueue, parsePage } from './page-queue.ts'

const limits = {
  // The primary sends a page every 1.5 s, also when there is no event.
  silentMs: 6000,
  maxWaitingCharacters: 8 << 20
}

/** Returns the source of a worker: the primary of the node reads the log once and sends every page to all workers. */
export function createRelay(primary: ProcessChannel): Source {
  const queue = createPageQueue(limits.maxWaitingCharacters)
  let isListening = false

  primary.handle('page', (page: string) => queue.push(() => parsePage(page), page.length))
  primary.handle('outage', (reason: string) =>
    queue.push(() => {
      throw new Error(reason)
    })
  )
  primary.handle('listening', (value: boolean) => {
    isListening = value
  })

  return {
    async *follow(_from, signal) {
      signal.addEventListener('abort', () => queue.push(() => undefined))
      while (!signal.aborted) {
        const read = await queue.shift(limits.silentMs)
        if (!read) throw new Error(`no page from the primary for ${limits.silentMs / 1000} s`)
        const page = read()
        if (page) yield page
      }
    },
    isListening: () => isListening,
    onWait: () => primary.notify('awaited'),
    close: async () => {}
  }
}
