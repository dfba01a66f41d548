import { parseArgs } from 'node:util'
import { type FaultName, faults } from './faults.ts'
import { soak } from './soak.ts'

// npm run soak -- --minutes N --seed S [--faults killNode,killDatabase]
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    faults: { type: 'string', default: Object.keys(faults).join(',') },
    nodes: { type: 'string', default: '2' }
  }
})
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => process.exit(1))

const report = await soak({
  seed: Number(values.seed),
  ms: Number(values.minutes) * 60_000,
  nodes: Number(values.nodes),
  faults: values.faults.split(',').filter(Boolean) as FaultName[],
  onProgress: line => console.log(line)
})
const { wrong, ...figures } = report
console.log({ ...figures, wrong: wrong.length })
for (const [what, count] of Object.entries(
  Object.groupBy(wrong, line => line.replace(/\d+/g, 'N'))
)) {
  console.log(`${count?.length} × ${what}, such as: ${count?.[0]}`)
}
process.exit(wrong.length === 0 ? 0 : 1)
