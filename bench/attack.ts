import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { findRunningUrl } from '../lib/embedded-postgres/server.ts'
import { attacks } from './attack/attacks.ts'
import { target } from './attack/figures.ts'
import { type AttackResult, measureAttack } from './attack/measure.ts'
import { createMeter } from './attack/meter.ts'
import { createProbe } from './attack/probe.ts'
import { costsRow, probeRow, responsesLine } from './attack/table.ts'
import { startService } from './support/service.ts'

/*
 * Measures how attacks slow the requests of another user, the probe. Runs the attacks one after another against the
 * service, with its rate limits on. Before and during each attack, the probe measures three latencies ten times a
 * second, on a checklist of its own: of a push over /live, of GET /users/me, and of the delivery of the pushed event
 * over /events. With so few measurements p99 is nearly the maximum.
 *
 * The attacker is another process on the same machine, so its CPU time slows the service too. Exits with 1 when a
 * latency misses its target, a response is a 5xx other than 503, or connections of an attacker stay open.
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

// The access tokens must not expire before the last attack ends.
const service = await startService({ RATE_LIMIT: 'on', ACCESS_TOKEN_TTL: '7200' })
try {
  const { url, folder, log } = service
  const databaseUrl = (await findRunningUrl(folder)) ?? ''
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  const probe = await createProbe(url)
  await probe.measure(warmUpMs)
  const environment = { url, databaseUrl, sql, probe, meter: createMeter(service), log }
  const results: AttackResult[] = []
  for (const name of names) {
    const result = await measureAttack(environment, name, seconds)
    results.push(result)
    if (!values.json) show(result)
  }
  probe.close()
  await sql.end()
  if (values.json) console.log(JSON.stringify(results, null, 2))
  else printTables(results)
  if (results.some(({ misses }) => misses.length > 0)) process.exitCode = 1
} finally {
  await service.stop()
}

function show(result: AttackResult) {
  console.log(`\n${result.name}: ${result.description}`)
  console.log(`  responses: ${responsesLine(result)}`)
  for (const miss of result.misses) console.log(`  target missed: ${miss}`)
  for (const [fault, count] of Object.entries(result.faults)) {
    console.log(`  the service logged: ${count} × ${fault}`)
  }
}

function printTables(results: AttackResult[]) {
  const table = <Row>(rowOf: (result: AttackResult) => Row) =>
    console.table(Object.fromEntries(results.map(result => [result.name, rowOf(result)])))
  console.log(`\ncost of each attack of ${seconds} s`)
  table(costsRow)
  console.log(
    'latencies of the probe: p50/p99/max in ms before the attack → during it, and the ratio of p99;' +
      ` the target is a ratio below ${target.ratio} and no latency above ${target.maxMs} ms`
  )
  table(probeRow)
}
