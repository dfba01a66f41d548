import { get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseCursor } from '../../lib/cursor.ts'
import type { Person, World } from './world.ts'

/** What one subscriber of `GET /events` was told, over all its connections. */
export type StreamFollower = ReturnType<typeof followStream>

export interface Heard {
  pos: number
  type: string
  data: Record<string, unknown>
}

const limits = { restlessMs: 6000, stillMs: 1000, retryMs: 300, patienceMs: 30_000 }

/** Follows the events of a person, cutting the connection now and then and going on with its cursor at any node. */
export function followStream({ random, addresses }: World, person: Person, isRestless: boolean) {
  const heard: Heard[] = []
  const faults: string[] = []
  const closing = new AbortController()
  let cursor: string | undefined
  let start: number | undefined
  let connections = 0
  let isCalm = false
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
    /** Keeps the connections that it makes from now on. */
    calm() {
      isCalm = true
    },
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
      const cut = () => {
        // A reset as often as a proper end.
        if (random.chance(0.5)) request.destroy()
        else request.socket?.resetAndDestroy()
      }
      let timer = setTimeout(cut, limits.patienceMs)
      closing.signal.addEventListener('abort', () => request.destroy(), { once: true })
      request.on('error', reject)
      request.on('close', () => {
        clearTimeout(timer)
        resolve()
      })
      request.on('response', reply => {
        state = `answered ${reply.statusCode} at ${new Date().toISOString()}`
        if (reply.statusCode !== 200) {
          reply.resume()
          if (reply.statusCode !== 503) faults.push(`answered ${reply.statusCode}`)
          return
        }
        connections++
        clearTimeout(timer)
        if (isRestless && !isCalm) timer = setTimeout(cut, random.next() * limits.restlessMs)
        let text = ''
        reply.setEncoding('utf8')
        reply.on('error', () => {})
        reply.on('data', chunk => {
          const blocks = `${text}${chunk}`.split('\n\n')
          text = blocks.pop() ?? ''
          for (const block of blocks) take(block)
        })
        if (isRestless && random.chance(0.1)) {
          // A reader that stops for a while.
          reply.pause()
          setTimeout(() => reply.resume(), random.next() * limits.stillMs)
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
      heard.push({ pos, type, data: JSON.parse(fields.get('data') ?? '{}') })
    }
    cursor = id
  }
}
