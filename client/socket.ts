import type {
  ClientMessage as ClientMessageRow,
  ServerMessage as ServerMessageRow
} from '../schemas/live.ts'
import { ConcordError } from './errors.ts'
import { parseObject } from './http.ts'
import { createReconnecting, type Reconnecting } from './reconnect.ts'
import type { SessionManager } from './session.ts'
import type { Clock, LogLine, Wire } from './types.ts'

export type MessageToService = Wire<ClientMessageRow>
export type MessageOfService = Wire<ServerMessageRow>
export type MessageOf<Type> = Extract<MessageOfService, { type: Type }>

export interface SocketParts {
  address: string
  WebSocket: typeof WebSocket
  session: Pick<SessionManager, 'isUser' | 'headers' | 'ended' | 'onToken'>
  clock: Clock
  log: (line: LogLine) => void
  /** Called with every message, first with `welcome`. */
  onMessage: (message: MessageOfService) => void
  /** Called when a socket has closed that had sent `welcome`. `isSilent`: because the service did not respond. */
  onClose: (isSilent: boolean) => void
}

export interface Socket extends Reconnecting {
  /** Sends a message if the socket is open. */
  send(message: MessageToService): void
  /** Returns whether the network takes messages slower than they are sent. */
  isFull(): boolean
  /** Returns whether the service has sent `welcome`. */
  isOpen(): boolean
  /** Replaces the connection when the service does not respond within 3 s. Returns false when the socket is not open. */
  check(): boolean
}

const limits = {
  welcomeMs: 15_000,
  pingMs: 20_000,
  pongMs: 10_000,
  quickPongMs: 3000,
  bufferedBytes: 64 << 10,
  /** the wait after a fault of this program */
  faultMs: 30_000,
  /** how often a refused socket may be a reason to check the session */
  sessionCheckMs: 60_000
}

/** Close codes of `GET /live`. */
const closeCode = {
  tooManyBadFrames: 4400,
  tokenExpired: 4401,
  sessionEnded: 4403,
  tooManyFrames: 4429
}

/** Sends and receives the messages of `GET /live`, over one socket after another. */
export function createSocket(parts: SocketParts): Socket {
  const { address, WebSocket, session, clock, log, onMessage, onClose } = parts
  let socket: WebSocket | undefined
  let expectMessage = (_ms: number) => {}
  let sessionCheckedAt = Number.NEGATIVE_INFINITY

  return {
    ...createReconnecting({ clock, log, name: 'socket' }, connect),
    send: message => socket?.send(JSON.stringify(message)),
    isFull: () => (socket?.bufferedAmount ?? 0) > limits.bufferedBytes,
    isOpen: () => socket !== undefined,
    check() {
      if (socket) expectMessage(limits.quickPongMs)
      return socket !== undefined
    }
  }

  async function connect(signal: AbortSignal, onOpen: () => void): Promise<number | undefined> {
    const headers = await session.headers(signal)
    if (signal.aborted) return
    const { code, reason } = await run(signal, headers, onOpen)
    if (signal.aborted) return
    if (code === closeCode.sessionEnded) session.ended('revoked')
    if (code === closeCode.tokenExpired) {
      session.ended('expired')
      return 0
    }
    if (code === closeCode.tooManyBadFrames || code === closeCode.tooManyFrames) {
      log({ level: 'warn', message: 'the service refuses the messages of this client', reason })
      return limits.faultMs
    }
    throw new ConcordError('NETWORK', `${code} ${reason}`)
  }

  /** Runs one socket until it closes, does not respond or `signal` aborts. */
  function run(signal: AbortSignal, headers: Record<string, string>, onOpen: () => void) {
    // Only sockets outside browsers have headers. Node and the package `ws` take them as the second argument.
    const isBearer = 'authorization' in headers
    const url = `${address.replace(/^http/, 'ws')}/live`
    const own = new WebSocket(url, ...((isBearer ? [{ headers }] : []) as []))
    let isOpen = false
    let stopDeadline = () => {}
    let stopPing = () => {}
    const stopToken = session.onToken(accessToken => {
      if (isBearer && isOpen) send({ type: 'auth', accessToken })
    })

    return new Promise<{ code: number; reason: string }>(resolve => {
      const abort = () => end(1000, 'aborted')
      signal.addEventListener('abort', abort)
      own.onerror = () => {}
      own.onclose = ({ code, reason }) => end(code, reason)
      own.onmessage = ({ data }) => {
        const message = parseObject(data)
        if (message) receive(message as MessageOfService)
        else end(0, 'a message is no JSON object')
      }
      setDeadline(limits.welcomeMs)

      function setDeadline(ms: number) {
        stopDeadline()
        stopDeadline = clock.setTimeout(() => end(0, 'no response'), ms)
      }

      function receive(message: MessageOfService) {
        stopDeadline()
        if (message.type === 'welcome') {
          if (!session.isUser(message.userId)) {
            session.ended('expired')
            return end(0, 'another user has signed in')
          }
          isOpen = true
          socket = own
          expectMessage = ms => {
            send({ type: 'ping' })
            setDeadline(ms)
          }
          ping()
          onOpen()
        }
        onMessage(message)
      }

      function ping() {
        stopPing = clock.setTimeout(() => {
          expectMessage(limits.pongMs)
          ping()
        }, limits.pingMs)
      }

      // Does not wait for the close event: without a network, browsers send it minutes later.
      function end(code: number, reason: string) {
        own.onmessage = null
        own.onclose = null
        own.close()
        signal.removeEventListener('abort', abort)
        stopDeadline()
        stopPing()
        stopToken()
        if (socket === own) socket = undefined
        if (isOpen) onClose(code === 0)
        else if (code !== 0) checkSession()
        resolve({ code, reason })
      }
    })

    function send(message: MessageToService) {
      own.send(JSON.stringify(message))
    }
  }

  /** Scripts cannot read why a socket was refused. The reason may be that the session has ended. */
  function checkSession() {
    const now = clock.now()
    if (now - sessionCheckedAt < limits.sessionCheckMs) return
    sessionCheckedAt = now
    session.ended('expired')
  }
}
