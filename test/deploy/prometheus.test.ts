import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { freePort } from '../support/free-port.ts'
import { httpClient } from '../support/http-client.ts'
import { openLive } from '../support/live-client.ts'
import { isNatsMissing, startNats } from '../support/nats-server.ts'
import { openFeed } from '../support/sse-client.ts'
import { until } from '../support/until.ts'
import { startWorkers } from '../support/workers.ts'

const root = join(import.meta.dirname, '../..')
const files = join(root, 'deploy/prometheus')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

interface Rule {
  alert: string
  annotations: { runbook: string }
}
const alerts: Rule[] = parse(read('deploy/prometheus/alerts.yaml')).groups[0].rules

interface Panel {
  type: string
  title: string
  description: string
  targets: { expr: string }[]
}
const panels = (JSON.parse(read('deploy/grafana/dashboard.json')).panels as Panel[]).filter(
  ({ type }) => type !== 'row'
)

t.test('docs/operations.md has a section for each alert', async t => {
  const page = read('docs/operations.md')
  for (const { alert, annotations } of alerts) {
    t.ok(page.includes(`\n### ${alert}\n`), alert)
    t.equal(annotations.runbook, `docs/operations.md#${alert.toLowerCase()}`)
  }
})

const skip =
  spawnSync('promtool', ['--version']).status === 0
    ? false
    : "promtool is not installed: Debian's package is `prometheus`"

t.test('the files of Prometheus are valid, and each alert fires', { skip }, async t => {
  for (const [command, file] of [
    ['check config', 'prometheus.yaml'],
    ['check rules', 'alerts.yaml'],
    ['test rules', 'alerts.test.yaml']
  ] as const) {
    const { status, stdout, stderr } = spawnSync('promtool', [...command.split(' '), file], {
      cwd: files,
      encoding: 'utf8'
    })
    t.equal(status, 0, `promtool ${command}: ${stdout}${stderr}`)
  }
  const [, faults] = parse(read('deploy/prometheus/alerts.test.yaml')).tests
  const tested = faults.promql_expr_test[0].exp_samples.map(
    ({ labels }: { labels: string }) => /"(.+)"/.exec(labels)?.[1]
  )
  t.strictSame(
    tested,
    alerts.map(({ alert }) => alert)
  )
})

t.test('Prometheus reads a node with two workers', { skip }, async t => {
  const nats = isNatsMissing ? undefined : await startNats()
  t.teardown(() => nats?.kill())
  const { address, ann, listId } = await startWorkers(t, nats && { NATS_URL: nats.url })
  const query = await startPrometheus(t, new URL(address).host)
  const makeLoad = await openClients(t, address, ann, listId)
  const isAvailable = ({ description }: Panel) => nats || !description.includes('NATS_URL')

  t.test('every panel of the dashboard has data', async t => {
    for (const { title, targets } of panels.filter(isAvailable)) {
      for (const { expr } of targets) {
        const hasData = async () => {
          await makeLoad()
          return (await query(expr)).some(({ value: [, value] }) => value !== 'NaN')
        }
        const found = await until(hasData, 20_000).catch(() => false)
        t.ok(found, `${title}: ${expr}`)
      }
    }
  })

  t.test('every metric of the alerts exists', async t => {
    const names = read('deploy/prometheus/alerts.yaml').match(/\b(concord|nodejs)_[a-z]\w+/g) ?? []
    for (const name of new Set(names)) {
      if (!nats && /nats|publisher/.test(name)) continue
      t.ok((await query(`{__name__="${name}"}`)).length > 0, name)
    }
  })

  t.test('no alert fires about a healthy node', async t => {
    t.strictSame(await query('ALERTS{alertstate="firing"}'), [])
  })
})

interface Sample {
  metric: Record<string, string>
  value: [number, string]
}

/** Starts Prometheus with the configuration of `deploy`, faster. Returns a function that runs a query. */
async function startPrometheus(t: Test, node: string) {
  const config = read('deploy/prometheus/prometheus.yaml')
    .replaceAll(': 15s', ': 1s')
    .replace(/dns_sd_configs:[\s\S]+$/, `static_configs: [{ targets: ["${node}"] }]\n`)
  const folder = t.testdir({ 'prometheus.yaml': config })
  for (const name of readdirSync(files).filter(name => name.startsWith('alerts'))) {
    writeFileSync(join(folder, name), readFileSync(join(files, name)))
  }
  const address = `127.0.0.1:${await freePort()}`
  const child = spawn(
    'prometheus',
    [
      `--config.file=${folder}/prometheus.yaml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=${address}`
    ],
    { stdio: 'ignore' }
  )
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })

  const query = async (expr: string): Promise<Sample[]> => {
    const text = expr.replaceAll('$__rate_interval', '30s').replaceAll('$instance', '.*')
    const response = await fetch(`http://${address}/api/v1/query`, {
      method: 'POST',
      body: new URLSearchParams({ query: text })
    })
    const { data, error } = (await response.json()) as {
      data?: { result: Sample[] }
      error: string
    }
    if (!data) throw new Error(`${text}: ${error}`)
    return data.result
  }
  await until(async () => (await query('up == 1')).length === 1, 30_000)
  return query
}

/** Opens streams and a socket. Returns a function that sends a request, which makes an event. */
async function openClients(
  t: Test,
  address: string,
  ann: { token: string; headers: Record<string, string> },
  listId: string
) {
  const call = httpClient(t, address)
  const { token, headers } = ann
  const feed = await openFeed(t, address, headers)
  const { id: cursor } = await feed.next('ready')
  await (await openFeed(t, address, headers, { cursor: 'garbage' })).next('reset')
  const socket = await openLive(t, address, headers)
  await socket.open(listId)
  const [project] = (await call('GET', '/projects', { token })).body.projects
  const rename = (name: string) =>
    call('PATCH', `/projects/${project.id}`, { token, body: { name } })
  await rename('Sale')
  await (await openFeed(t, address, headers, { cursor })).next('project.updated')

  let names = 0
  return () => rename(`Fair ${names++}`)
}
