import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { findRunningUrl } from '../lib/embedded-postgres/server.ts'
import { attacks } from './attack/attacks.ts'
import { createBystander } from './attack/bystander.ts'
import { createMeter } from './attack/costs.ts'
import { aim } from './attack/figures.ts'
import { playRound, type Round } from './attack/round.ts'
import { answersLine, bystanderRow, costsRow } from './attack/table.ts'
import { startService } from './service.ts'

/*
 * Measures what a bystander notices of attacks. Plays attacks one after another against the service with its limits
 * on. Before and during each, a user with a checklist of their own measures ten times a second a push over /live, GET
 * /users/me, and the delivery of the push's event over /events. So p99 is nearly the worst value.
 *
 * The attacker is another process on the same machine: subtract its CPU time before you blame the service. Ends with 1
 * when the aim was missed, an answer was a 5xx other than 503, or connections of an attacker stayed open.
 *
 * node bench/attack.ts [part of a name] [--seconds 8] [--json]
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '8' },
    json: { type: 'boolean', default: false }
  }
})
const seconds = Number(values.seconds)
const warmUpMs = 2000
const names = Object.keys(attacks).filter(name => name.includes(positionals[0] ?? ''))
if (names.length === 0 || !(seconds > 0)) {
  process.stderr.write(`node bench/attack.ts [${Object.keys(attacks).join(' | ')}] [--seconds 8]\n`)
  process.exit(2)
}

// A token has to live longer than all attacks together.
const service = await startService({ RATE_LIMIT: 'on', ACCESS_TOKEN_TTL: '7200' })
try {
  const { url, folder, log } = service
  const databaseUrl = (await findRunningUrl(folder)) ?? ''
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  const bystander = await createBystander(url)
  await bystander.measure(warmUpMs)
  const stage = { url, databaseUrl, sql, bystander, meter: createMeter(service), log }
  const rounds: Round[] = []
  for (const name of names) {
    const round = await playRound(stage, name, seconds)
    rounds.push(round)
    if (!values.json) show(round)
  }
  bystander.close()
  await sql.end()
  if (values.json) console.log(JSON.stringify(rounds, null, 2))
  else summarise(rounds)
  if (rounds.some(({ misses }) => misses.length > 0)) process.exitCode = 1
} finally {
  await service.stop()
}

function show(round: Round) {
  console.log(`\n${round.name}: ${round.what}`)
  console.log(`  answers: ${answersLine(round)}`)
  for (const miss of round.misses) console.log(`  missed: ${miss}`)
  for (const [fault, count] of Object.entries(round.faults)) {
    console.log(`  the service logged: ${count} × ${fault}`)
  }
}

function summarise(rounds: Round[]) {
  const table = <Row>(rowOf: (round: Round) => Row) =>
    console.table(Object.fromEntries(rounds.map(round => [round.name, rowOf(round)])))
  console.log(`\nwhat each attack of ${seconds} s cost`)
  table(costsRow)
  console.log(
    `what the bystander noticed: p50/p99/worst in ms, quiet → attacked, and the ratio of p99;` +
      ` the aim is below ×${aim.ratio}, and nothing above ${aim.worstMs} ms`
  )
  table(bystanderRow)
}
