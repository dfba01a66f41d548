import type { LogEvent } from '../../lib/event.ts'
import { createSignal } from '../../lib/signal.ts'
import type { Page } from './follow.ts'

/** Returns a received page. Returns undefined when it is none, and throws when the source cannot go on. */
type ReadPage = () => Page | undefined

/**
 * Returns a queue of received pages. When they exceed `maxSize`, all of them are discarded: the next page then begins
 * after the delivered head, so that the missing events are read from PostgreSQL.
 */
export function createPageQueue(maxSize: number) {
  const news = createSignal()
  let pages: { read: ReadPage; size: number }[] = []
  let waiting = 0

  return {
    push(read: ReadPage, size = 0) {
      if (waiting > maxSize) {
        pages = []
        waiting = 0
      }
      pages.push({ read, size })
      waiting += size
      news.notify()
    },

    /** Returns the next page as a function that reads it, and undefined after `ms` milliseconds without one. */
    async shift(ms: number): Promise<ReadPage | undefined> {
      while (pages.length === 0) if (!(await news.wait(ms))) return
      const [next] = pages.splice(0, 1)
      waiting -= next?.size ?? 0
      return next?.read
    }
  }
}

/** Returns the text in which a process sends a page to others. */
export function formatPage(page: Page): string {
  return JSON.stringify(page)
}

export function parsePage(text: string): Page {
  const page = JSON.parse(text) as Page & { events: (LogEvent & { at: string | Date })[] }
  for (const event of page.events) event.at = new Date(event.at)
  return page
}
