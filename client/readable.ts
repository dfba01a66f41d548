/**
 * A value that changes. `subscribe` calls `run` at once and after every change, and returns a function that unsubscribes.
 * Values are immutable: a change is a new value, so `===` compares two of them. React's `useSyncExternalStore`, Svelte,
 * Solid's `from` and Vue's `shallowRef` use it without an adapter.
 */
export interface Readable<T> {
  get(): T
  subscribe(run: (value: T) => void): () => void
}

/** A `Readable` that its owner changes. */
export interface Writable<T> extends Readable<T> {
  /** Stores a value and calls all subscribers, unless the value is the same. */
  set(value: T): void
}

/**
 * Returns a value that its owner changes. `onInterest` is called when the first subscriber arrives; the function that it
 * returns is called when the last one leaves.
 */
export function writable<T>(value: T, onInterest: () => () => void = () => () => {}): Writable<T> {
  const subscribers = new Set<{ run: (value: T) => void }>()
  let onIdle = () => {}

  return {
    get: () => value,

    set(next) {
      if (Object.is(next, value)) return
      value = next
      for (const subscriber of [...subscribers]) {
        if (!subscribers.has(subscriber)) continue
        try {
          subscriber.run(value)
        } catch (error) {
          throwLater(error)
        }
      }
    },

    subscribe(run) {
      const subscriber = { run }
      subscribers.add(subscriber)
      if (subscribers.size === 1) onIdle = onInterest()
      run(value)
      return () => {
        if (subscribers.delete(subscriber) && subscribers.size === 0) onIdle()
      }
    }
  }
}

/** Stores an object, unless all its fields are the same. */
export function setFields<T extends object>(value: Writable<T>, next: T): void {
  const before = value.get()
  const keys = Object.keys(next) as (keyof T)[]
  if (keys.some(key => next[key] !== before[key])) value.set(next)
}

/** Throws an error of a callback outside of this library, as an uncaught error: the library goes on. */
export function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}
