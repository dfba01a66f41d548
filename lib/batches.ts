/**
 * Divides events into batches of at most `events` events and about `bytes` bytes: the last event of a batch may exceed
 * the limit of bytes. An event for which `isLast` returns true ends its batch.
 */
export function* batches<E extends { bytes: number }>(
  events: Iterable<E>,
  limits: { events: number; bytes: number },
  isLast: (event: E) => boolean = () => false
): Generator<E[]> {
  let batch: E[] = []
  let bytes = 0
  for (const event of events) {
    batch.push(event)
    bytes += event.bytes
    if (batch.length < limits.events && bytes < limits.bytes && !isLast(event)) continue
    yield batch
    batch = []
    bytes = 0
  }
  if (batch.length > 0) yield batch
}
