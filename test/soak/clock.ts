// Loaded into a node before anything else: SIGWINCH sets its clock a day ahead, or
// back again. Monotonic time goes on. (Other signals mean something to the service.)

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
