import t from 'tap'
import { createDatabase } from '../support/database.ts'
import { simulate } from './simulation/simulate.ts'

// On a busy machine, the runs take longer than other test files may.
t.setTimeout(900_000)

t.test('clients converge and lose nothing, whatever fails', async t => {
  const runs = 300
  let count = 0
  const failures = await simulate(t, {
    databaseUrl: await createDatabase(t),
    runs,
    lanes: 4,
    onRun: () => count++
  })
  for (const { repeat, error } of failures)
    t.fail(`npm run soak -- --clients --repeat '${repeat}'\n${error.message}`)
  t.ok(count >= runs)
})
