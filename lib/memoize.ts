/** Returns a function that calls `make` once per object and keeps the result as long as the object lives. */
export function memoize<T extends object, R>(make: (of: T) => R): (of: T) => R {
  const made = new WeakMap<T, R>()
  return of => {
    let value = made.get(of)
    if (value === undefined) {
      value = make(of)
      made.set(of, value)
    }
    return value
  }
}
