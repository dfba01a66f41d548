import { parseArgs } from 'node:util'
import { soakClients } from './clients.ts'
import { type FaultName, faults } from './faults.ts'
import { soak } from './soak.ts'

// npm run soak -- --minutes N --seed S [--faults killNode,killDatabase] [--nodes 2] [--workers 1] [--nats]
// npm run soak -- --clients --minutes N [--repeat 'the seed of a failed run']
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    faults: { type: 'string', default: Object.keys(faults).join(',') },
    nodes: { type: 'string', default: '2' },
    workers: { type: 'string', default: '1' },
    nats: { type: 'boolean', default: false },
    clients: { type: 'boolean', default: false },
    repeat: { type: 'string' }
  }
})
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => process.exit(1))

if (values.clients) {
  const isGood = await soakClients({
    ms: Number(values.minutes) * 60_000,
    lanes: 4,
    repeat: values.repeat,
    onProgress: line => console.log(line)
  })
  process.exit(isGood ? 0 : 1)
}

const report = await soak({
  seed: Number(values.seed),
  ms: Number(values.minutes) * 60_000,
  nodes: Number(values.nodes),
  workers: Number(values.workers),
  nats: values.nats,
  faults: values.faults.split(',').filter(Boolean) as FaultName[],
  onProgress: line => console.log(line)
})
const { violations, ...figures } = report
console.log({ ...figures, violations: violations.length })
for (const [kind, lines] of Object.entries(
  Object.groupBy(violations, line => line.replace(/\d+/g, 'N'))
)) {
  console.log(`${lines?.length} × ${kind}, such as: ${lines?.[0]}`)
}
process.exit(violations.length === 0 ? 0 : 1)
