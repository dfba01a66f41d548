import type { ChildProcess } from 'node:child_process'
import cluster from 'node:cluster'
import { createChannel, type ProcessChannel } from '../../lib/channel.ts'
import { pingWorker } from './heartbeat.ts'

// A worker sends its first message when it has loaded its modules, which takes long on a busy machine.
const limits = { firstMessageMs: 60_000 }

/** A worker process, from its start to its end. */
export interface Worker {
  pid: number
  channel: ProcessChannel
  /** whether it serves clients */
  isReady: boolean
  /** Resolves with the cause when the process has ended. */
  ended: Promise<string>
  kill(): void
}

/** Starts the script of this process once more, as a worker. Kills the worker when it is frozen. */
export function forkWorker(onFrozen: (pid: number) => void): Worker {
  const { process: child } = cluster.fork()
  closeUndelivered(child)
  const channel = createChannel(child)
  const pid = child.pid as number
  const kill = () => void child.kill('SIGKILL')
  const { promise: ended, resolve } = Promise.withResolvers<string>()
  child.on('error', ({ message }) => resolve(message))
  child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
  const killFrozen = () => {
    onFrozen(pid)
    kill()
  }
  const timer = setTimeout(killFrozen, limits.firstMessageMs)
  ended.then(() => clearTimeout(timer))
  child.once('message', () => {
    clearTimeout(timer)
    ended.then(pingWorker(channel, killFrozen))
  })
  return { pid, channel, isReady: false, ended, kill }
}

/**
 * Closes the connection that was on its way to a worker when the worker ended. node:cluster forgets it and leaves it
 * open, so that its client would wait for ever.
 */
function closeUndelivered(child: ChildProcess) {
  const send = child.send.bind(child) as (...args: unknown[]) => boolean
  let last: { close?(): void } | undefined
  child.send = (message: unknown, handle?: unknown, ...rest: unknown[]) => {
    if (typeof handle === 'object' && handle !== null) last = handle
    return send(message, handle, ...rest)
  }
  // A handle that is closed already ignores the call.
  child.once('exit', () => last?.close?.())
}
