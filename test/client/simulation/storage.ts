import type { Storage, Store } from '../../../client/storage.ts'
import type { Operation } from '../../../client/types.ts'

/**
 * Returns a storage as one page sees it. `onStored` is called with each operation that the page has stored. After
 * `kill`, nothing is read or written any more, as when the process of the page has crashed.
 */
export function pageStorage(storage: Storage, onStored: (op: Operation) => void) {
  let isAlive = true
  const never = new Promise<never>(() => {})

  return {
    storage: killable(storage, value => (isStore(value) ? killable(value, onResult) : value)),
    kill() {
      isAlive = false
    }
  }

  function killable<T extends object>(target: T, onValue: (value: unknown) => unknown): T {
    return new Proxy(target, {
      get(target, name) {
        const value = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          if (!isAlive) return never
          const result = value.apply(target, args)
          if (!(result instanceof Promise)) return result
          return result.then(
            value => (isAlive ? onValue(value) : never),
            error => (isAlive ? Promise.reject(error) : never)
          )
        }
      }
    })
  }

  function onResult(value: unknown): unknown {
    if (typeof value === 'object' && value !== null && 'entry' in value)
      onStored((value.entry as { op: Operation }).op)
    return value
  }
}

function isStore(value: unknown): value is Store {
  return typeof value === 'object' && value !== null && 'append' in value
}
