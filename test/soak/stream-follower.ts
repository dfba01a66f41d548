import { hash } from 'node:crypto'
import { get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { positionOf } from '../support/sse-client.ts'
import { type Disconnect, disconnects } from './disconnects.ts'
import type { Account, Fixtures } from './fixtures.ts'

export type StreamFollower = ReturnType<typeof followStream>

/** A received event, reduced to what the checks need, because tens of millions arrive in an hour. */
export interface ReceivedEvent {
  pos: number
  digest: string
}

/**
 * Returns a digest that is equal for the same event in the log and in the stream. For events without a revision, the
 * digest covers only the type.
 */
export function digestOf(event: { type: string; rev: unknown; opId: unknown; after: unknown }) {
  const { type, rev, opId, after } = event
  const parts = rev === null ? [type] : [type, rev, opId, after]
  return hash('sha1', JSON.stringify(parts)).slice(0, 12)
}

const limits = {
  disconnectMs: 6000,
  readPauseMs: 1000,
  retryMs: 300,
  timeoutMs: 30_000,
  silentMs: 60_000
}

/**
 * Follows `GET /events` of a user over many connections: disconnects at random times if `isUnstable`, and resumes with
 * its cursor at a random node.
 */
export function followStream(fixtures: Fixtures, account: Account, isUnstable: boolean) {
  const { random, addresses } = fixtures
  const received: ReceivedEvent[] = []
  const violations: string[] = []
  const closing = new AbortController()
  let cursor: string | undefined
  let start: number | undefined
  let connections = 0
  let disconnect = (_how: Disconnect) => {}
  /** the state of the last connection, for error messages */
  let state = 'not connected yet'
  const running = run()

  return {
    account,
    received,
    /** violations of the protocol */
    violations,
    /** position after which the follower must receive every event */
    get start() {
      return start
    },
    get connections() {
      return connections
    },
    get state() {
      return state
    },
    /** Disconnects; the follower connects again. */
    disconnect: (how: Disconnect) => disconnect(how),
    async stop() {
      closing.abort()
      await running
    }
  }

  async function run() {
    while (!closing.signal.aborted) {
      state = `connecting since ${new Date().toISOString()}`
      await connect().catch(error => {
        state = String(error)
      })
      if (!closing.signal.aborted) await sleep(random.next() * limits.retryMs)
    }
  }

  function connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const headers = {
        ...(random.chance(0.5) ? account.headers : { cookie: account.cookie }),
        ...(cursor !== undefined && { 'last-event-id': cursor })
      }
      const request = get(`${random.pick(addresses)}/events`, { headers, agent: false })
      const end = () => void request.destroy()
      let timer = setTimeout(end, limits.timeoutMs)
      // Later data of a lost connection is ignored, because the next connection resumes before it.
      let isLost = false
      closing.signal.addEventListener('abort', end)
      request.on('error', reject)
      request.on('close', () => {
        isLost = true
        closing.signal.removeEventListener('abort', end)
        clearTimeout(timer)
        resolve()
      })
      request.on('response', reply => {
        state = `status ${reply.statusCode} at ${new Date().toISOString()}`
        clearTimeout(timer)
        if (reply.statusCode !== 200) {
          reply.resume()
          if (reply.statusCode !== 503) violations.push(`GET /events returned ${reply.statusCode}`)
          return
        }
        connections++
        disconnect = how => {
          clearTimeout(timer)
          if (how === 'reset') return void request.socket?.resetAndDestroy()
          if (how === 'end') return end()
          // Stops reading without closing the socket.
          isLost = true
          reply.pause()
          timer = setTimeout(end, limits.silentMs)
          resolve()
        }
        if (isUnstable && !fixtures.isQuiet)
          timer = setTimeout(
            () => disconnect(random.pick(disconnects)),
            random.next() * limits.disconnectMs
          )
        let text = ''
        reply.setEncoding('utf8')
        reply.on('error', () => {})
        reply.on('data', chunk => {
          if (isLost) return
          const blocks = `${text}${chunk}`.split('\n\n')
          text = blocks.pop() ?? ''
          for (const block of blocks) receive(block)
        })
        if (isUnstable && random.chance(0.1)) {
          // Stops reading for a while.
          reply.pause()
          setTimeout(() => isLost || reply.resume(), random.next() * limits.readPauseMs)
        }
      })
    })
  }

  function receive(block: string) {
    const fields = new Map(block.split('\n').map(line => line.split(/: (.*)/s) as [string, string]))
    const [type, id] = [fields.get('event'), fields.get('id')]
    if (type === undefined) return
    if (type === 'reset' || type === 'session.ended')
      violations.push(`${type} ${fields.get('data')}`)
    if (id === undefined) return
    const pos = positionOf(id)
    if (type === 'ready') {
      if (cursor !== undefined && id !== cursor) violations.push(`resumed ${cursor} at ${id}`)
      start ??= pos
    } else if (type === 'heartbeat') {
      if (cursor !== undefined && pos < positionOf(cursor)) violations.push('a heartbeat went back')
    } else {
      const { rev = null, opId = null, after = null } = JSON.parse(fields.get('data') ?? '{}')
      received.push({ pos, digest: digestOf({ type, rev, opId, after }) })
    }
    cursor = id
  }
}
