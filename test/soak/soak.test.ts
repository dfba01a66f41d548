import t from 'tap'
import { soak } from './soak.ts'

t.test('every subscriber receives exactly its events while faults are injected', async t => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
  t.comment(`SEED=${seed}`)
  const report = await soak({
    seed,
    ms: 8000,
    faults: ['killListeners', 'killReaders', 'killPools', 'killNode']
  })
  const { violations, ...figures } = report
  t.comment(figures)
  t.strictSame(violations.slice(0, 20), [])
  t.ok(report.events > 100 && report.deliveries > 1000, `${report.deliveries} deliveries`)
})
