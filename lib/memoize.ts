/** Calls `make` once for each object, and stores the result until the object is garbage collected. */
export function memoize<T extends object, R>(make: (key: T) => R): (key: T) => R {
  const results = new WeakMap<T, R>()
  return key => {
    let value = results.get(key)
    if (value === undefined) {
      value = make(key)
      results.set(key, value)
    }
    return value
  }
}
