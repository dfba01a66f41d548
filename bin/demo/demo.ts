import type postgres from 'postgres'
import type { DemoClient } from './client.ts'
import type { Timeline } from './timeline.ts'

/** The clients and functions that all steps use. */
export interface Demo extends Pick<Timeline, 'step' | 'check'> {
  ann: DemoClient
  bob: DemoClient
  sql: postgres.Sql
}

/** Returns a function that returns whether an item has a text after a change. */
export function hasText(text: string) {
  return ({ after }: { after?: object }) => (after as { text?: string })?.text === text
}
