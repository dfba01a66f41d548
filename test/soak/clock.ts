// Loaded into a node with --import: SIGWINCH sets its clock a day ahead, or back again.
// Monotonic time does not change. The service handles other signals itself.

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
