import { hash } from 'node:crypto'
import { get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseCursor } from '../../lib/cursor.ts'
import { type Cut, cuts } from './cut.ts'
import type { Person, World } from './world.ts'

/** What one subscriber of `GET /events` was told, over all its connections. */
export type StreamFollower = ReturnType<typeof followStream>

/** What was told, small: an hour brings tens of millions. */
export interface Heard {
  pos: number
  digest: string
}

/** What makes two events the same; of a project's or a member's, only what they are. */
export function digestOf(event: { type: string; rev: unknown; opId: unknown; after: unknown }) {
  const { type, rev, opId, after } = event
  const parts = rev === null ? [type] : [type, rev, opId, after]
  return hash('sha1', JSON.stringify(parts)).slice(0, 12)
}

const limits = {
  restlessMs: 6000,
  stillMs: 1000,
  retryMs: 300,
  patienceMs: 30_000,
  ghostMs: 60_000
}

/** Follows the events of a person, cutting the connection now and then and going on with its cursor at any node. */
export function followStream(world: World, person: Person, isRestless: boolean) {
  const { random, addresses } = world
  const heard: Heard[] = []
  const faults: string[] = []
  const closing = new AbortController()
  let cursor: string | undefined
  let start: number | undefined
  let connections = 0
  let cut = (_how: Cut) => {}
  /** how the last attempt to connect went, for the one who asks why nothing comes */
  let state = 'begins'
  const running = run()

  return {
    person,
    heard,
    /** what should never happen */
    faults,
    /** the position of the log after which everything is owed */
    get start() {
      return start
    },
    get connections() {
      return connections
    },
    get state() {
      return state
    },
    /** Loses the connection, and connects again. */
    cut: (how: Cut) => cut(how),
    async stop() {
      closing.abort()
      await running
    }
  }

  async function run() {
    while (!closing.signal.aborted) {
      state = `connects since ${new Date().toISOString()}`
      await connect().catch(error => {
        state = String(error)
      })
      if (!closing.signal.aborted) await sleep(random.next() * limits.retryMs)
    }
  }

  function connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const headers = {
        ...(random.chance(0.5) ? person.headers : { cookie: person.cookie }),
        ...(cursor !== undefined && { 'last-event-id': cursor })
      }
      const request = get(`${random.pick(addresses)}/events`, { headers, agent: false })
      const end = () => void request.destroy()
      let timer = setTimeout(end, limits.patienceMs)
      // What comes later is not taken: the next connection begins where this one was left.
      let isGone = false
      closing.signal.addEventListener('abort', end)
      request.on('error', reject)
      request.on('close', () => {
        isGone = true
        closing.signal.removeEventListener('abort', end)
        clearTimeout(timer)
        resolve()
      })
      request.on('response', reply => {
        state = `answered ${reply.statusCode} at ${new Date().toISOString()}`
        clearTimeout(timer)
        if (reply.statusCode !== 200) {
          reply.resume()
          if (reply.statusCode !== 503) faults.push(`answered ${reply.statusCode}`)
          return
        }
        connections++
        cut = how => {
          clearTimeout(timer)
          if (how === 'reset') return void request.socket?.resetAndDestroy()
          if (how === 'end') return end()
          // The other side is not told, and nothing is read any more.
          isGone = true
          reply.pause()
          timer = setTimeout(end, limits.ghostMs)
          resolve()
        }
        if (isRestless && !world.isCalm)
          timer = setTimeout(() => cut(random.pick(cuts)), random.next() * limits.restlessMs)
        let text = ''
        reply.setEncoding('utf8')
        reply.on('error', () => {})
        reply.on('data', chunk => {
          if (isGone) return
          const blocks = `${text}${chunk}`.split('\n\n')
          text = blocks.pop() ?? ''
          for (const block of blocks) take(block)
        })
        if (isRestless && random.chance(0.1)) {
          // A reader that stops for a while.
          reply.pause()
          setTimeout(() => isGone || reply.resume(), random.next() * limits.stillMs)
        }
      })
    })
  }

  function take(block: string) {
    const fields = new Map(block.split('\n').map(line => line.split(/: (.*)/s) as [string, string]))
    const [type, id] = [fields.get('event'), fields.get('id')]
    if (type === undefined) return
    if (type === 'reset' || type === 'session.ended') faults.push(`${type} ${fields.get('data')}`)
    if (id === undefined) return
    const pos = parseCursor(id)?.pos ?? -1
    if (type === 'ready') {
      if (cursor !== undefined && id !== cursor) faults.push(`resumed ${cursor} at ${id}`)
      start ??= pos
    } else if (type === 'heartbeat') {
      if (pos < (parseCursor(cursor ?? '')?.pos ?? 0)) faults.push('a heartbeat went back')
    } else {
      const { rev = null, opId = null, after = null } = JSON.parse(fields.get('data') ?? '{}')
      heard.push({ pos, digest: digestOf({ type, rev, opId, after }) })
    }
    cursor = id
  }
}
