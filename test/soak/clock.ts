// A node loads this file with --import. SIGWINCH then sets the clock of the node a day ahead, and the next SIGWINCH
// sets it back. Monotonic time does not change. The service does not use SIGWINCH itself.

const DAY_MS = 86_400_000
const TrueDate = Date
let aheadMs = 0
const now = () => TrueDate.now() + aheadMs

globalThis.Date = new Proxy(TrueDate, {
  construct: (target, args) =>
    args.length === 0 ? new target(now()) : Reflect.construct(target, args),
  get: (target, name) => (name === 'now' ? now : Reflect.get(target, name))
})

process.on('SIGWINCH', () => {
  aheadMs = DAY_MS - aheadMs
})
