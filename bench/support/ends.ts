/** Functions that stop what this process has started. */
const ends: (() => Promise<unknown>)[] = []

/** Registers a function that stops or deletes something at the end of the run, also on SIGINT and SIGTERM. */
export function onEnd(end: () => Promise<unknown>) {
  ends.push(end)
}

let ending: Promise<void> | undefined

/** Calls the registered functions once, the newest first. */
export function endAll(): Promise<void> {
  ending ??= callAll()
  return ending
}

async function callAll() {
  for (let end = ends.pop(); end; end = ends.pop()) await end()
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143]
] as const) {
  process.once(signal, () => endAll().finally(() => process.exit(code)))
}
