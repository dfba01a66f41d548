import type postgres from 'postgres'
import type { DemoClient } from './client.ts'
import type { Timeline } from './timeline.ts'

/** The clients and functions that the steps of the demo use. */
export interface Demo extends Pick<Timeline, 'step' | 'check'> {
  ann: DemoClient
  bob: DemoClient
  sql: postgres.Sql
}

/** Returns a predicate for changes: whether the item has this text after the change. */
export function hasText(text: string) {
  return ({ after }: { after?: object }) => (after as { text?: string })?.text === text
}
