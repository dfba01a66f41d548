import { isPageVisible, onPageEvent } from './page.ts'
import { type Readable, writable } from './readable.ts'
import type { Clock, LogLine } from './types.ts'

/** How the tabs of a browser find out which of them holds the connection, and talk to each other. */
export interface Tabs {
  /**
   * Waits for the lock `name`, or takes it from its holder with `steal`, and runs `hold` while this tab owns it. `lost`
   * aborts when another tab has taken it. Resolves when `hold` has ended. Rejects when `signal` aborts before.
   */
  lock(
    name: string,
    options: { steal: boolean; signal: AbortSignal },
    hold: (lost: AbortSignal) => Promise<void>
  ): Promise<void>
  /** Opens a channel to the other tabs. A message is a copy; the sender does not receive its own. */
  channel(name: string): TabChannel
  isVisible(): boolean
  /** Calls `run` when the page becomes visible, or returns from the back/forward cache. */
  onShow(run: () => void): () => void
  /** Calls `run` when the page is put into the back/forward cache. */
  onHide(run: () => void): () => void
}

export interface TabChannel {
  send(message: unknown): void
  onMessage(run: (message: unknown) => void): void
  close(): void
}

/** Messages between tabs, by topic. `body` is a copy. */
export interface Bus {
  readonly tabId: string
  send(topic: string, body: unknown): void
  on<Body>(topic: string, run: (body: Body, from: string) => void): () => void
}

export interface Leadership {
  readonly isLeader: Readable<boolean>
  readonly bus: Bus
  /** Gives up the lock, and becomes a candidate again. */
  yield(): void
  close(): void
}

const timing = {
  aliveMs: 2000,
  // A visible tab takes the lock from a leader that has been silent for this time.
  silenceMs: 3000,
  checkMs: 500
}

/** Returns the `Tabs` of a browser; false where it has no locks, because the page is not from a secure context. */
export function browserTabs(log: (line: LogLine) => void): Tabs | false {
  if (!globalThis.navigator?.locks || !globalThis.BroadcastChannel) {
    log({
      level: 'warn',
      message: 'this page has no Web Locks, which need HTTPS or localhost: every tab connects alone'
    })
    return false
  }
  return {
    async lock(name, { steal, signal }, hold) {
      const lost = new AbortController()
      let isHeld = false
      try {
        // The browser refuses `steal` together with `signal`.
        await navigator.locks.request(name, steal ? { steal } : { signal }, () => {
          isHeld = true
          return signal.aborted ? undefined : hold(lost.signal)
        })
      } catch (error) {
        // Besides a thief, WebKit takes the locks of pages in the back/forward cache.
        if (!isHeld) throw error
        lost.abort()
      }
    },

    channel(name) {
      const channel = new BroadcastChannel(name)
      return {
        send: message => channel.postMessage(message),
        onMessage(run) {
          channel.onmessage = ({ data }) => run(data)
        },
        close: () => channel.close()
      }
    },

    isVisible: isPageVisible,

    onShow(run) {
      const stops = [
        onPageEvent('visibilitychange', () => isPageVisible() && run()),
        onPageEvent('pageshow', ({ persisted }) => persisted && run())
      ]
      return () => {
        for (const stop of stops) stop()
      }
    },

    onHide: run => onPageEvent('pagehide', ({ persisted }) => persisted && run())
  }
}

/**
 * Elects one tab of a browser by a lock. The leader sends a sign of life; when there is none, because its page is frozen,
 * a visible tab steals the lock. Two tabs may be leaders for a moment. With `tabs: false` this tab is always the leader.
 */
export function createLeadership({
  tabs,
  name,
  clock
}: {
  tabs: Tabs | false
  name: string
  clock: Clock
}): Leadership {
  const tabId = Math.random().toString(36).slice(2)
  if (!tabs) {
    const bus = { tabId, send() {}, on: () => () => {} }
    return { isLeader: writable(true), bus, yield() {}, close() {} }
  }

  const isLeader = writable(false)
  /** Open unless the page is in the back/forward cache: Chromium discards pages there that receive a message. */
  let channel: TabChannel | undefined
  const handlers = new Map<string, Set<(body: never, from: string) => void>>()
  /** Aborts the request for the lock, and gives up the lock. */
  let candidacy: AbortController | undefined
  let stopTimer = () => {}
  /** time of the last sign of life of a leader, which may be this tab */
  let aliveAt = 0
  let checkedAt = 0

  const bus: Bus = {
    tabId,
    send(topic, body) {
      channel?.send({ topic, from: tabId, body })
    },
    on(topic, run) {
      const set = handlers.get(topic) ?? new Set()
      handlers.set(topic, set.add(run))
      return () => set.delete(run)
    }
  }
  bus.on('alive', () => {
    aliveAt = clock.now()
  })
  const stops = [tabs.onShow(() => (candidacy ? check() : join())), tabs.onHide(resign)]
  join()

  return {
    isLeader,
    bus,
    yield() {
      isLeader.set(false)
      compete(false)
    },
    close() {
      resign()
      for (const stop of stops) stop()
    }
  }

  function join() {
    const own = (tabs as Tabs).channel(name)
    channel = own
    own.onMessage(message => {
      const { topic, from, body } = message as { topic: string; from: string; body: never }
      if (channel === own) for (const run of [...(handlers.get(topic) ?? [])]) run(body, from)
    })
    compete(false)
    aliveAt = clock.now()
    checkedAt = aliveAt
    check()
  }

  function resign() {
    stopTimer()
    candidacy?.abort()
    candidacy = undefined
    isLeader.set(false)
    channel?.close()
    channel = undefined
  }

  /** Waits for the lock, or steals it, and leads until it is lost. */
  function compete(steal: boolean) {
    candidacy?.abort()
    const own = new AbortController()
    const { signal } = own
    candidacy = own
    const lead = (lost: AbortSignal) =>
      new Promise<void>(resolve => {
        if (signal.aborted) return resolve()
        const end = () => {
          if (!signal.aborted) isLeader.set(false)
          resolve()
        }
        lost.addEventListener('abort', end)
        signal.addEventListener('abort', end)
        bus.send('alive', null)
        isLeader.set(true)
      })
    ;(tabs as Tabs)
      .lock(name, { steal, signal }, lead)
      .catch(() => {})
      .then(() => {
        // After the lock was lost, or refused: WebKit does so while it restores a page.
        if (!signal.aborted)
          clock.setTimeout(() => signal.aborted || compete(false), timing.checkMs)
      })
  }

  function check() {
    stopTimer()
    const now = clock.now()
    // After a late timer, this page itself was frozen, and the messages of the leader may still be in its queue.
    if (now - checkedAt > 2 * timing.checkMs) aliveAt = Math.max(aliveAt, now - timing.aliveMs)
    checkedAt = now
    if (isLeader.get()) {
      if (now - aliveAt >= timing.aliveMs) {
        aliveAt = now
        bus.send('alive', null)
      }
    } else if (now - aliveAt > timing.silenceMs && (tabs as Tabs).isVisible()) {
      aliveAt = now
      compete(true)
    }
    stopTimer = clock.setTimeout(check, timing.checkMs)
  }
}
