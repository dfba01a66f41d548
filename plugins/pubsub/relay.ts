import type { ProcessChannel } from '../../lib/channel.ts'
import type { LogEvent } from '../../lib/event.ts'
import { createSignal } from '../../lib/signal.ts'
import type { Page } from './follow.ts'
import type { Source } from './source.ts'

const limits = {
  // The primary sends a page every 1.5 s, also when there is no event.
  silentMs: 6000,
  maxWaitingCharacters: 8 << 20
}

/** Returns the source of a worker: the primary of the node reads the log once and sends every page to all workers. */
export function createRelay(primary: ProcessChannel): Source {
  const news = createSignal()
  let pages: string[] = []
  let waiting = 0
  let outage: string | undefined
  let isListening = false

  primary.handle('page', (page: string) => {
    // The next page then begins after the delivered head, so that the missing events are read from PostgreSQL.
    if (waiting > limits.maxWaitingCharacters) discardPages()
    pages.push(page)
    waiting += page.length
    news.notify()
  })
  primary.handle('outage', (reason: string) => {
    outage = reason
    news.notify()
  })
  primary.handle('listening', (value: boolean) => {
    isListening = value
  })

  return {
    async *follow(_from, signal) {
      signal.addEventListener('abort', news.notify)
      while (!signal.aborted) {
        const page = pages.shift()
        if (page !== undefined) {
          waiting -= page.length
          yield parsePage(page)
        } else if (outage !== undefined) {
          const reason = outage
          outage = undefined
          throw new Error(reason)
        } else if (!(await news.wait(limits.silentMs))) {
          throw new Error(`no page from the primary for ${limits.silentMs / 1000} s`)
        }
      }
    },
    isListening: () => isListening,
    onWait: () => primary.notify('awaited'),
    close: async () => {}
  }

  function discardPages() {
    pages = []
    waiting = 0
  }
}

/** Returns the text in which the primary sends a page. */
export function formatPage(page: Page): string {
  return JSON.stringify(page)
}

function parsePage(text: string): Page {
  const page = JSON.parse(text) as Page & { events: (LogEvent & { at: string | Date })[] }
  for (const event of page.events) event.at = new Date(event.at)
  return page
}
