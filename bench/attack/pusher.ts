import { randomUUID } from 'node:crypto'
import WebSocket from 'ws'
import type { Result } from '../../schemas/operation.ts'
import type { Headers } from '../client.ts'

const pace = { reconnectMs: 250, retryMs: 500 }

/**
 * A client of one checklist on `/live`. It sends every operation in a frame of its own until it is acknowledged: again
 * after an `error`, and all again when the socket was closed.
 */
export function createPusher(url: string, headers: Headers, checklistId: string) {
  const waiting = new Map<string, { frame: string; resolve: (result: Result) => void }>()
  /** Frames without an answer on this socket, in order: an `error` names no operation, but answers come in order. */
  let sent: string[] = []
  let socket = connect()
  let isClosed = false

  return {
    push(op: object): Promise<Result> {
      const opId = randomUUID()
      const { promise, resolve } = Promise.withResolvers<Result>()
      const frame = JSON.stringify({ type: 'push', checklistId, ops: [{ opId, ...op }] })
      waiting.set(opId, { frame, resolve })
      send(opId)
      return promise
    },

    close() {
      isClosed = true
      socket.terminate()
    }
  }

  function connect(): WebSocket {
    const opened = new WebSocket(`${url.replace('http', 'ws')}/live`, { headers })
    opened.on('error', () => {}) // followed by close
    opened.on('open', () => {
      for (const opId of waiting.keys()) send(opId)
    })
    opened.on('message', text => take(JSON.parse(String(text))))
    opened.on('close', () => {
      sent = []
      if (isClosed) return
      setTimeout(() => {
        if (!isClosed) socket = connect()
      }, pace.reconnectMs)
    })
    return opened
  }

  function send(opId: string) {
    const frame = waiting.get(opId)?.frame
    if (!frame || socket.readyState !== WebSocket.OPEN) return
    sent.push(opId)
    socket.send(frame)
  }

  function take(message: { type: string; results?: Result[]; retryAfterMs?: number }) {
    if (message.type !== 'ack' && message.type !== 'error') return
    const opId = sent.shift() ?? ''
    const [result] = message.results ?? []
    if (result) {
      waiting.get(opId)?.resolve(result)
      waiting.delete(opId)
    } else {
      setTimeout(() => send(opId), message.retryAfterMs ?? pace.retryMs)
    }
  }
}
