import type { Sql } from '../../sql/executor.ts'
import type { Headers } from './client.ts'
import { openReadyStream } from './load.ts'

/** Adds events that concern no user, until the log has `count`. */
export async function fillLog(sql: Sql, count: number) {
  await sql`
    insert into events (pos, kind, source, at)
    select nextval('events_pos'), 'project.updated', 'sql', now()
    from generate_series(1, ${count}::bigint - (select count(*) from events))`
  await sql`analyze events`
}

/** Returns the cursor of a stream that begins now. */
export async function cursorOf(url: string, headers: Headers): Promise<string> {
  let cursor = ''
  const stream = await openReadyStream(url, headers, block => {
    cursor = /^id: (.+)$/m.exec(block)?.[1] ?? cursor
  })
  stream.destroy()
  return cursor
}
