import type { Socket } from 'node:net'
import type { Test } from 'tap'
import { openStream } from '../../bench/client.ts'

/** One stream of many: the bytes that came, and what they say. */
export interface Reader {
  socket: Socket
  /** everything that came, head and all */
  text: string
  closed: boolean
  /** ids of the events of projects that came, in order */
  ids: string[]
  /** id of whatever came last, to come back with */
  cursor: string
}

/** Opens many streams of `GET /events`, some hundred at a time, and resolves when all have been greeted. */
export async function crowd(
  t: Test,
  url: string,
  headers: Record<string, string>,
  cursors: (string | undefined)[]
): Promise<Reader[]> {
  const readers: Reader[] = []
  for (let n = 0; n < cursors.length; n += 250) {
    const some = cursors
      .slice(n, n + 250)
      .map(cursor => read(url, { ...headers, ...(cursor && { 'last-event-id': cursor }) }))
    readers.push(...(await Promise.all(some)))
  }
  t.teardown(() => {
    for (const { socket } of readers) socket.destroy()
  })
  return readers
}

function read(url: string, headers: Record<string, string>): Promise<Reader> {
  return new Promise(resolve => {
    const socket = openStream(url, headers, block => {
      take(reader, block)
      if (reader.cursor !== '') resolve(reader)
    })
    const reader: Reader = { socket, text: '', closed: false, ids: [], cursor: '' }
    socket.on('close', () => {
      reader.closed = true
      resolve(reader)
    })
  })
}

function take(reader: Reader, block: string) {
  reader.text += `${block}\n\n`
  const type = /^event: (.*)$/m.exec(block)?.[1]
  const id = /^id: (.*)$/m.exec(block)?.[1]
  if (id === undefined) return
  reader.cursor = id
  if (type !== 'ready' && type !== 'heartbeat') reader.ids.push(id)
}
