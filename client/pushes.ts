import { ConcordError } from './errors.ts'
import type { MessageOf, Socket } from './socket.ts'
import type { Operation, Result } from './types.ts'

/** A push without results. */
interface Push {
  ops: readonly Operation[]
  /** number of the ping that was sent after it; 0 when it is not sent */
  ping: number
  resolve: (results: Result[]) => void
  reject: (error: ConcordError) => void
}

type PushError = Pick<MessageOf<'error'>, 'message' | 'retryAfterMs'> & { code: string }

const lost: PushError = {
  code: 'NETWORK',
  message: 'the connection was lost before the results arrived'
}

/** Pushes operations, one push at a time per checklist. */
export function createPushes(socket: Pick<Socket, 'send' | 'isOpen'>) {
  const pushes = new Map<string, Push>()
  let pings = 0
  let lastError: PushError | undefined

  return {
    has: (checklistId: string) => pushes.has(checklistId),
    isEmpty: () => pushes.size === 0,

    push(checklistId: string, ops: readonly Operation[]): Promise<Result[]> {
      return new Promise((resolve, reject) => {
        if (pushes.has(checklistId)) {
          return reject(new ConcordError('BUSY', 'a push on this checklist is in flight'))
        }
        const push = { ops, ping: 0, resolve, reject }
        pushes.set(checklistId, push)
        if (socket.isOpen()) send(checklistId, push)
      })
    },

    /** Sends the pushes that waited for the socket. */
    sendAll() {
      for (const [checklistId, push] of pushes) send(checklistId, push)
    },

    loseAll() {
      for (const checklistId of pushes.keys()) refuse(checklistId, lost)
    },

    onAck({ checklistId, results }: MessageOf<'ack'>) {
      pushes.get(checklistId)?.resolve(results)
      pushes.delete(checklistId)
    },

    /** The service handles messages in order: a push without results was refused by the error before this pong. */
    onPong({ n }: MessageOf<'pong'>) {
      for (const [checklistId, push] of pushes) {
        if (push.ping === n) refuse(checklistId, lastError ?? lost)
      }
    },

    onError(error: PushError) {
      lastError = error
    }
  }

  // The service responds to the ping after the push, also when it refuses the push without naming the checklist.
  function send(checklistId: string, push: Push) {
    push.ping = ++pings
    socket.send({ type: 'push', checklistId, ops: push.ops as Operation[] })
    socket.send({ type: 'ping', n: push.ping })
  }

  function refuse(checklistId: string, { code, message, retryAfterMs }: PushError) {
    const push = pushes.get(checklistId)
    pushes.delete(checklistId)
    push?.reject(new ConcordError(code, message, { retryAfterMs: retryAfterMs ?? null }))
  }
}
