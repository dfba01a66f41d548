import type { Test } from 'tap'
import type { Tabs } from '../../client/tabs.ts'
import type { Clock } from '../../client/types.ts'

export type Browser = ReturnType<typeof openBrowser>
export type BrowserTab = ReturnType<Browser['openTab']>

interface Held {
  tab: object
  lost: AbortController
}

/** Returns a clock whose time and timers run `factor` times as fast as the real ones. */
export function fastClock(factor = 20): Clock {
  return {
    now: () => performance.now() * factor,
    setTimeout(run, ms) {
      const timer = setTimeout(run, ms / factor)
      return () => clearTimeout(timer)
    }
  }
}

/**
 * Opens a browser in this process: tabs with the same cookies, locks and channels. A tab has the parts that a client
 * takes from a page: `tabs`, `clock`, `fetch` and `WebSocket`. `freeze` stops everything that would run in the tab,
 * `kill` ends it, and `hide` puts it into the back/forward cache until `show`.
 */
export function openBrowser(
  t: Pick<Test, 'teardown'>,
  { clock = fastClock(), jar = {} }: { clock?: Clock; jar?: { cookie?: string } } = {}
) {
  const openTabs = new Set<{ kill(): void; receive(name: string, message: unknown): void }>()
  const holders = new Map<string, Held>()
  const waiting: { name: string; tab: object; grant: () => void }[] = []
  t.teardown(() => {
    for (const tab of openTabs) tab.kill()
  })
  return { openTab }

  function openTab() {
    const tab = {}
    let isFrozen = false
    let isAlive = true
    let isVisible = true
    let queue: (() => void)[] = []
    let thawed = Promise.resolve()
    let thaw = () => {}
    const ended = new AbortController()
    const sockets = new Set<WebSocket>()
    const receivers = new Map<string, (message: unknown) => void>()
    const showRuns = new Set<() => void>()
    const hideRuns = new Set<() => void>()
    const all = { kill, receive }
    openTabs.add(all)

    const tabs: Tabs = {
      lock(name, { steal, signal }, hold) {
        return new Promise((resolve, reject) => {
          const request = { name, tab, grant }
          const abort = () => {
            const index = waiting.indexOf(request)
            if (index < 0) return
            waiting.splice(index, 1)
            reject(signal.reason)
          }
          signal.addEventListener('abort', abort)
          if (steal) {
            const robbed = holders.get(name)
            grant()
            robbed?.lost.abort()
          } else {
            waiting.push(request)
            grantNext(name)
          }

          function grant() {
            const lost = new AbortController()
            const own = { tab, lost: new AbortController() }
            own.lost.signal.addEventListener('abort', () => run(() => lost.abort()))
            holders.set(name, own)
            run(() =>
              hold(lost.signal).then(() => {
                if (holders.get(name) === own) holders.delete(name)
                grantNext(name)
                resolve()
              })
            )
          }
        })
      },
      channel: name => ({
        send(message) {
          if (!isAlive) return
          const copy = structuredClone(message)
          for (const other of openTabs) if (other !== all) other.receive(name, copy)
        },
        onMessage: run => receivers.set(name, run),
        close: () => receivers.delete(name)
      }),
      isVisible: () => isVisible,
      onShow: listen(showRuns),
      onHide: listen(hideRuns)
    }

    const tabClock: Clock = {
      now: clock.now,
      setTimeout: (callback, ms) => {
        let isStopped = false
        const stop = clock.setTimeout(() => run(() => isStopped || callback()), ms)
        return () => {
          isStopped = true
          stop()
        }
      }
    }

    return {
      tabs,
      clock: tabClock,
      fetch: tabFetch as typeof globalThis.fetch,
      WebSocket: class extends WebSocket {
        constructor(url: string | URL) {
          super(url, { headers: { cookie: jar.cookie ?? '' } } as never)
          sockets.add(this)
          this.addEventListener('close', () => sockets.delete(this))
        }

        override set onmessage(callback: WebSocket['onmessage']) {
          super.onmessage = callback && (event => run(() => callback.call(this, event)))
        }

        override set onclose(callback: WebSocket['onclose']) {
          super.onclose = callback && (event => run(() => callback.call(this, event)))
        }
      },

      setVisible(next: boolean) {
        isVisible = next
        if (next) call(showRuns)
      },
      freeze() {
        if (isFrozen) return
        isFrozen = true
        thawed = new Promise(resolve => {
          thaw = resolve
        })
      },
      thaw() {
        isFrozen = false
        thaw()
        const late = queue
        queue = []
        for (const callback of late) run(callback)
      },
      /** Puts the page into the back/forward cache, where no messages arrive. */
      hide() {
        isVisible = false
        call(hideRuns)
        openTabs.delete(all)
      },
      show() {
        openTabs.add(all)
        isVisible = true
        call(showRuns)
      },
      kill
    }

    function run(callback: () => void) {
      if (!isAlive) return
      if (isFrozen) queue.push(callback)
      else callback()
    }

    function receive(name: string, message: unknown) {
      setImmediate(() => run(() => receivers.get(name)?.(structuredClone(message))))
    }

    function kill() {
      isAlive = false
      openTabs.delete(all)
      ended.abort()
      for (const socket of sockets) socket.close()
      thaw()
      for (const request of waiting.filter(({ tab: owner }) => owner === tab)) {
        waiting.splice(waiting.indexOf(request), 1)
      }
      for (const [name, holder] of holders) {
        if (holder.tab !== tab) continue
        holders.delete(name)
        grantNext(name)
      }
    }

    async function tabFetch(input: string, init: RequestInit = {}) {
      const headers = new Headers(init.headers)
      if (jar.cookie) headers.set('cookie', jar.cookie)
      const signal = AbortSignal.any([ended.signal, ...(init.signal ? [init.signal] : [])])
      const response = await fetch(input, { ...init, headers, signal })
      for (const one of response.headers.getSetCookie()) {
        const [pair = ''] = one.split(';')
        jar.cookie = pair.endsWith('=') ? undefined : pair
      }
      await thawed
      const { body, status, headers: received } = response
      const visible = new Headers(received)
      visible.delete('set-cookie')
      const gate = new TransformStream({
        async transform(chunk, controller) {
          await thawed
          controller.enqueue(chunk)
        }
      })
      return new Response(body?.pipeThrough(gate) ?? null, { status, headers: visible })
    }
  }

  function grantNext(name: string) {
    if (holders.has(name)) return
    const index = waiting.findIndex(request => request.name === name)
    if (index >= 0) waiting.splice(index, 1)[0]?.grant()
  }
}

function listen(runs: Set<() => void>) {
  return (run: () => void) => {
    runs.add(run)
    return () => runs.delete(run)
  }
}

function call(runs: Set<() => void>) {
  for (const run of [...runs]) run()
}
