import { randomUUID } from 'node:crypto'
import postgres from 'postgres'
import { addChecklist, openLive, registerUser } from './client.ts'
import { onEnd } from './ends.ts'
import { openReadyStream } from './load.ts'

const size = { items: 10, text: 'Order 12 white chairs for the summer fair' }

/** Creates a user with a list of ten items, which `change` changes by SQL: each call is one commit. */
export async function createSharedList(url: string, databaseUrl: string) {
  const { id: userId, headers } = await registerUser(url)
  const items = Array.from({ length: size.items }, () => ({ itemId: randomUUID(), ...size }))
  const { id } = await addChecklist(
    url,
    headers,
    items.map(({ itemId, text }) => ({ itemId, text }))
  )
  const sql = postgres(databaseUrl, { max: 4, onnotice: () => {} })
  onEnd(() => sql.end())
  await sql`create table if not exists peer_commits as select 0 as n`
  return { id, userId, headers, change, notifyPeers, openOptions, readBytes }

  /** Commits an update and notifies the bare servers of a number of changes. */
  async function notifyPeers(changes: number) {
    await sql`
      with changed as (update peer_commits set n = n + 1)
      select pg_notify('peer', ${`${changes}`})`
  }

  /** Returns how to open a stream, or a socket on the list. */
  function openOptions(kind: 'stream' | 'socket') {
    return kind === 'stream'
      ? { headers, opened: 'event: ready' }
      : { headers, opened: '"type":"snapshot"', checklistId: id }
  }

  /** Returns what a stream or a socket receives for one change: the block of an event, or a message. */
  function readBytes(kind: 'stream' | 'socket'): Promise<string> {
    return kind === 'stream' ? readEvent() : readMessage()
  }

  async function change(changes: number) {
    const ids = items.slice(0, changes).map(({ itemId }) => itemId)
    await sql`update checklist_items set done = not done where id = any (${ids})`
  }

  async function readEvent(): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>()
    const stream = await openReadyStream(url, headers, block => {
      if (block.includes('event: item.')) resolve(`${block.slice(block.indexOf('event:'))}\n\n`)
    })
    await change(1)
    return promise.finally(() => stream.destroy())
  }

  async function readMessage(): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>()
    const opened = Promise.withResolvers<void>()
    const socket = await openLive(url, headers, id, text => {
      if (text.includes('"type":"snapshot"')) opened.resolve()
      if (text.includes('"type":"changes"')) resolve(text)
    })
    await opened.promise
    await change(1)
    return promise.finally(() => socket.terminate())
  }
}
