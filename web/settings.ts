import { effect, type Signal, signal } from '@preact/signals'

/**
 * Returns a signal that is kept on this device. Where the browser refuses to store anything, it lasts as long as the page.
 */
export function setting<const T extends string>(name: string, values: readonly T[]): Signal<T> {
  const key = `concord.${name}`
  const [fallback] = values as [T]
  const value = signal(values.find(one => one === read(key)) ?? fallback)
  effect(() => {
    const next = value.value
    try {
      if (next === fallback) localStorage.removeItem(key)
      else localStorage.setItem(key, next)
    } catch {
      // The browser refuses to store it.
    }
  })
  addEventListener('storage', event => {
    if (event.key === key) value.value = values.find(one => one === event.newValue) ?? fallback
  })
  return value
}

function read(key: string): string | null {
  try {
    return localStorage.getItem(key)
  } catch {
    return null
  }
}
