/** Calls `make` with 0, 1, … `count` - 1, all at once, and returns the results in that order. */
export function times<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => make(index)))
}
