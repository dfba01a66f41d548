import type { EventEmitter } from 'node:events'
import { withTimeout } from './with-timeout.ts'

/** One end of the IPC connection between two processes of Node: a child process, or `process` in that child. */
export interface Port extends EventEmitter {
  connected?: boolean
  send?(message: Message, onSent: (error: Error | null) => void): boolean
}

export type ProcessChannel = ReturnType<typeof createChannel>

type Handler = (...args: never[]) => unknown

/** A message without `id` needs no reply. */
type Message =
  | { name: string; args: unknown[]; id?: number }
  | { replyTo: number; value?: unknown; error?: string }

const limits = { replyMs: 10_000 }

/** Calls functions of the process at the other end of `port`, and lets it call functions of this process. */
export function createChannel(port: Port) {
  const handlers = new Map<string, Handler>()
  const calls = new Map<number, PromiseWithResolvers<unknown>>()
  let lastId = 0
  let unsent = 0
  port.on('message', receive)
  port.once('disconnect', () => {
    for (const { reject } of calls.values()) reject(new Error('the other process has ended'))
  })

  return {
    /** Sets the function that the other process calls by this name. Its result must be JSON. */
    handle(name: string, handler: Handler) {
      handlers.set(name, handler)
    },

    /** Returns the result of a function of the other process. Rejects when it fails, or does not respond in 10 s. */
    async call<T>(name: string, ...args: unknown[]): Promise<T> {
      const id = ++lastId
      const call = Promise.withResolvers<unknown>()
      calls.set(id, call)
      call.promise.catch(() => {}) // after the timeout, nothing else handles the rejection
      send({ name, args, id })
      return withTimeout(call.promise as Promise<T>, limits.replyMs).finally(() => calls.delete(id))
    },

    /** Calls a function of the other process without waiting. The call is lost when the process ends first. */
    notify(name: string, ...args: unknown[]) {
      send({ name, args })
    },

    /** Like `notify`, with a text that counts as unsent until the operating system has taken it. */
    sendText(name: string, text: string) {
      unsent += text.length
      send({ name, args: [text] }, () => {
        unsent -= text.length
      })
    },

    /** Characters of texts that wait in the memory of this process: the other process does not read. */
    get unsent() {
      return unsent
    }
  }

  function send(message: Message, onSent = () => {}) {
    if (port.connected) port.send?.(message, onSent)
  }

  async function receive(message: Message) {
    if ('replyTo' in message) {
      const { replyTo, value, error } = message
      const call = calls.get(replyTo)
      return error === undefined ? call?.resolve(value) : call?.reject(new Error(error))
    }
    const { name, args, id } = message
    const handler = handlers.get(name)
    if (id === undefined) return handler?.(...(args as never[]))
    try {
      if (!handler) throw new Error(`the other process cannot do ${name} yet`)
      send({ replyTo: id, value: await handler(...(args as never[])) })
    } catch (error) {
      send({ replyTo: id, error: (error as Error).message })
    }
  }
}
