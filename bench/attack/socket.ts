import WebSocket from 'ws'
import { connectLive, type Headers } from '../support/client.ts'
import type { Counter } from './counter.ts'

const limits = { bufferedBytes: 1 << 20, reconnectMs: 100 }

/**
 * Opens a socket on `/live`, which reconnects whenever it is closed and sends `firstMessages` after each connect. It
 * counts the messages that it receives. `send` drops the message while the socket is not open or has a megabyte
 * unsent.
 */
export function createSocket(
  url: string,
  counter: Counter,
  headers: Headers,
  firstMessages: object[]
) {
  let socket = open()

  return {
    send(message: object | string) {
      if (socket.readyState !== WebSocket.OPEN) return
      if (socket.bufferedAmount > limits.bufferedBytes) return
      counter.addRequest()
      socket.send(typeof message === 'string' ? message : JSON.stringify(message))
    },

    /** Stops reading. */
    pause() {
      if (socket.readyState === WebSocket.OPEN) socket.pause()
      else socket.once('open', () => socket.pause())
    }
  }

  function open(): WebSocket {
    counter.addRequest()
    const opened = connectLive(url, headers)
    opened.on('error', error => {
      counter.addResponse((error as NodeJS.ErrnoException).code ?? error.message)
    })
    opened.on('open', () => {
      for (const message of firstMessages) opened.send(JSON.stringify(message))
    })
    opened.on('message', bytes => {
      for (const response of responsesIn(String(bytes))) counter.addResponse(response)
    })
    opened.on('close', code => {
      counter.addResponse(`closed ${code}`)
      setTimeout(() => {
        socket = open()
      }, limits.reconnectMs)
    })
    return opened
  }
}

/**
 * Returns the kinds of response that a message counts as: the outcomes of an `ack`, the code of an `error`, or its
 * type.
 */
function responsesIn(text: string): string[] {
  const type = /^\{"type":"(\w+)"/.exec(text)?.[1] ?? 'other'
  if (type === 'error') return [`error ${/"code":"(\w+)"/.exec(text)?.[1]}`]
  if (type !== 'ack') return [type]
  return [...text.matchAll(/"outcome":"(\w+)"/g)].map(([, outcome]) => `ack ${outcome}`)
}
