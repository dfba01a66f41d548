import type { Test } from 'tap'
import { createClient } from '../../client/index.ts'
import type { Readable } from '../../client/readable.ts'
import type { Options } from '../../client/types.ts'

/** Returns a client that is closed with the test, and is signed in when there is an `account`. */
export async function startClient(
  t: Test,
  address: string,
  account?: { email: string; password: string },
  options?: Options
) {
  const client = createClient(address, options)
  t.teardown(() => client.close())
  if (account) await client.signIn(account)
  return client
}

/** Subscribes until a value fulfils `condition`, and returns that value. */
export function when<T>(value: Readable<T>, condition: (value: T) => unknown): Promise<T> {
  return new Promise<() => void>(found => {
    const unsubscribe = value.subscribe(now => {
      if (condition(now)) found(() => unsubscribe())
    })
  }).then(unsubscribe => {
    const found = value.get()
    unsubscribe()
    return found
  })
}

/** Subscribes to a value until the test ends. Returns the values so far. */
export function follow<T>(t: Test, value: Readable<T>): T[] {
  const values: T[] = []
  t.teardown(value.subscribe(now => values.push(now)))
  return values
}
