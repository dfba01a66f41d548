import { type ReadonlySignal, signal } from '@preact/signals'
import { useLayoutEffect, useReducer, useRef } from 'preact/hooks'
import type { Readable } from '../client/index.ts'

/** Returns the value of a `Readable`, and renders the component again after every change. */
export function useReadable<T>(readable: Readable<T>): T {
  const [, render] = useReducer((count: number, _: undefined) => count + 1, 0)
  const value = readable.get()
  const shown = useRef(value)
  shown.current = value
  useLayoutEffect(
    () =>
      readable.subscribe(next => {
        if (!Object.is(next, shown.current)) render(undefined)
      }),
    [readable]
  )
  return value
}

/** Returns a signal that follows a `Readable` as long as the page. */
export function toSignal<T>(readable: Readable<T>): ReadonlySignal<T> {
  const value = signal(readable.get())
  readable.subscribe(next => {
    value.value = next
  })
  return value
}
