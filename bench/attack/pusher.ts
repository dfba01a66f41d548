import { randomUUID } from 'node:crypto'
import WebSocket from 'ws'
import type { Result } from '../../schemas/operation.ts'
import { connectLive, type Headers } from '../support/client.ts'

const limits = { reconnectMs: 250, retryMs: 500 }

/**
 * Creates a client of one checklist on `/live`. The client sends every operation in a frame of its own, and again after
 * an `error` or a reconnect, until the operation is acknowledged.
 */
export function createPusher(url: string, headers: Headers, checklistId: string) {
  const waiting = new Map<string, { frame: string; resolve: (result: Result) => void }>()
  /**
   * Operations on this socket that have no response yet, in order. An `error` does not name its operation, but
   * responses arrive in the order of the operations.
   */
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
    const opened = connectLive(url, headers)
    opened.on('error', () => {}) // `close` follows
    opened.on('open', () => {
      for (const opId of waiting.keys()) send(opId)
    })
    opened.on('message', text => receive(JSON.parse(String(text))))
    opened.on('close', () => {
      sent = []
      if (isClosed) return
      setTimeout(() => {
        if (!isClosed) socket = connect()
      }, limits.reconnectMs)
    })
    return opened
  }

  function send(opId: string) {
    const frame = waiting.get(opId)?.frame
    if (!frame || socket.readyState !== WebSocket.OPEN) return
    sent.push(opId)
    socket.send(frame)
  }

  function receive(message: { type: string; results?: Result[]; retryAfterMs?: number }) {
    if (message.type !== 'ack' && message.type !== 'error') return
    const opId = sent.shift() ?? ''
    const [result] = message.results ?? []
    if (result) {
      waiting.get(opId)?.resolve(result)
      waiting.delete(opId)
    } else {
      setTimeout(() => send(opId), message.retryAfterMs ?? limits.retryMs)
    }
  }
}
