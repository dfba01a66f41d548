import type { Entry, Storage, Store } from '../../../client/storage.ts'
import type { Clock } from '../../../client/types.ts'

export type Page = ReturnType<typeof createPage>

/** How much faster the timers of a simulated client run than real ones. */
const speed = 20

/** A page of a browser that can be killed: from then on it does nothing, as when the process of the page has crashed. */
export function createPage() {
  let isAlive = true
  const never = new Promise<never>(() => {})
  const timers = new Set<NodeJS.Timeout>()
  const sockets = new Set<WebSocket>()
  const requests = new AbortController()

  const clock: Clock = {
    now: () => performance.now() * speed,
    setTimeout(run, ms) {
      if (!isAlive) return () => {}
      const timer = setTimeout(() => {
        timers.delete(timer)
        run()
      }, ms / speed)
      timers.add(timer)
      return () => {
        timers.delete(timer)
        clearTimeout(timer)
      }
    }
  }

  return {
    clock,
    storage: (storage: Storage) => killable(storage, value => wrapStore(value)),
    fetch: pageFetch,
    WebSocket: pageSocket(),

    get isAlive() {
      return isAlive
    },

    kill() {
      isAlive = false
      for (const timer of timers) clearTimeout(timer)
      for (const socket of sockets) socket.close()
      requests.abort()
    }
  }

  /** Returns the same object whose promises stay pending after a kill. */
  function killable<T extends object>(target: T, wrap: (value: unknown) => unknown): T {
    return new Proxy(target, {
      get(target, name) {
        const value = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          if (!isAlive) return never
          const result = value.apply(target, args)
          if (!(result instanceof Promise)) return result
          return result.then(
            found => (isAlive ? wrap(found) : never),
            error => (isAlive ? Promise.reject(error) : never)
          )
        }
      }
    })
  }

  function wrapStore(value: unknown): unknown {
    const isStore = typeof value === 'object' && value !== null && 'append' in value
    return isStore ? killable(value as Store, stored => stored) : value
  }

  function pageFetch(jar: { cookie?: string }): typeof fetch {
    return async (input, init) => {
      if (!isAlive) return never
      const headers = new Headers(init?.headers)
      if (jar.cookie) headers.set('cookie', jar.cookie)
      const signal = AbortSignal.any([requests.signal, ...(init?.signal ? [init.signal] : [])])
      try {
        const response = await fetch(input, { ...init, headers, signal })
        const [cookie] = response.headers.getSetCookie()
        if (cookie) jar.cookie = cookie.split(';', 1)[0]
        return isAlive ? response : never
      } catch (error) {
        return isAlive ? Promise.reject(error) : never
      }
    }
  }

  function pageSocket(): typeof WebSocket {
    return class extends WebSocket {
      constructor(...args: ConstructorParameters<typeof WebSocket>) {
        super(...args)
        sockets.add(this)
        super.addEventListener('close', () => sockets.delete(this))
      }

      override dispatchEvent(event: Event): boolean {
        return isAlive && super.dispatchEvent(event)
      }
    }
  }
}

/** Returns a storage that reports each operation whose storing has succeeded. */
export function observeStorage(storage: Storage, onStored: (entry: Entry) => void): Storage {
  return {
    ...storage,
    async open(userId) {
      const store = await storage.open(userId)
      return {
        ...store,
        async append(checklistId, op, combine) {
          const stored = await store.append(checklistId, op, combine)
          if ('entry' in stored) onStored(stored.entry)
          return stored
        }
      }
    }
  }
}
