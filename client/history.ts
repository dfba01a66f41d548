import { maximum } from '../schemas/limits.ts'
import type { ConcordError } from './errors.ts'
import type { ChangesPage } from './link.ts'
import type { Change, History } from './types.ts'

export interface HistoryRange {
  /** the newest revision that is wanted */
  end: number
  limit: number
  itemId?: string
}

/**
 * Returns a function that reads the past of a checklist backwards. The service only returns pages forwards, so a page
 * starts `limit` revisions before its end, and the history of one item is read from its beginning. `get` sends the
 * request with a query string.
 */
export function createHistory(get: (query: string, signal?: AbortSignal) => Promise<ChangesPage>) {
  /** The changes up to this revision are not stored any more. */
  let floor = 0

  return async function read(
    { end, limit, itemId }: HistoryRange,
    signal?: AbortSignal
  ): Promise<History> {
    const item = itemId ? `&item=${itemId}` : ''
    const wanted = itemId ? 0 : end - limit
    let changes: Change[] = []
    for (let since = Math.max(wanted, floor); since < end; ) {
      const size = itemId ? maximum.changesPerPage : Math.min(end - since, maximum.changesPerPage)
      const page = await unlessCompacted(`since=${since}&limit=${size}${item}`, signal)
      if (!page) {
        floor = await findFloor(since, end, signal)
        since = floor
        continue
      }
      changes.push(...page.changes.filter(({ rev }) => rev <= end))
      since = page.to
    }
    const more = itemId ? changes.length > limit : wanted > floor
    changes = changes.slice(-limit)
    return { changes, more }
  }

  async function unlessCompacted(query: string, signal?: AbortSignal) {
    try {
      return await get(query, signal)
    } catch (error) {
      if ((error as ConcordError).code === 'COMPACTED') return null
      throw error
    }
  }

  /** Returns the lowest revision after which all changes are stored. `low` is lower, `high` may be that revision. */
  async function findFloor(low: number, high: number, signal?: AbortSignal): Promise<number> {
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (await unlessCompacted(`since=${middle}&limit=1`, signal)) high = middle
      else low = middle
    }
    return high
  }
}
