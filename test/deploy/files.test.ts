import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { shutdownLimits } from '../../plugins/http/shutdown.ts'
import { Environment } from '../../schemas/config.ts'
import { typeErrors } from '../support/type-check.ts'

const root = join(import.meta.dirname, '../..')
const deploy = join(root, 'deploy')
const read = (path: string) => readFileSync(join(deploy, path), 'utf8')
const isVariable = (name: string) => name in Environment.properties

/** The time that a shutdown may take; what stops the service must wait as long. */
const shutdownSeconds = shutdownLimits.processMs / 1000

t.test('Kubernetes', async t => {
  const names = readdirSync(join(deploy, 'kubernetes')).filter(
    name => name !== 'kustomization.yaml'
  )
  // biome-ignore lint/suspicious/noExplicitAny: the compiler checks the resources
  const resources: any[] = names.map(name => parse(read(`kubernetes/${name}`)))
  const find = (kind: string) => resources.find(resource => resource.kind === kind)
  const { spec } = find('Deployment')
  const { metadata, spec: pod } = spec.template
  const [container] = pod.containers

  t.test('every resource has the type of its kind, and a wrong field is found', async t => {
    t.equal(kubernetesErrors(t, resources), '')
    const [misspelt, mistyped, incomplete] = Array.from({ length: 3 }, () =>
      structuredClone(find('Deployment'))
    )
    misspelt.spec.template.spec.containers[0].livenessProb = {}
    mistyped.spec.replicas = '2'
    delete incomplete.spec.selector
    const errors = kubernetesErrors(t, [misspelt, mistyped, incomplete])
    t.match(errors, /"livenessProb"' does not exist in type 'Container'/)
    t.match(errors, /'string' is not assignable to type 'number'/)
    t.match(errors, /Property 'selector' is missing/)
  })

  t.test('kustomization.yaml has every file but the example, and the image', async t => {
    const { resources, images } = parse(read('kubernetes/kustomization.yaml'))
    t.strictSame(resources.toSorted(), names.filter(name => !name.includes('.example.')).toSorted())
    t.equal(images[0].name, container.image)
  })

  t.test('the labels, names and ports that resources refer to exist', async t => {
    for (const { spec } of ['Deployment', 'PodDisruptionBudget', 'NetworkPolicy'].map(find)) {
      const { matchLabels } = spec.selector ?? spec.podSelector
      t.match(metadata.labels, matchLabels)
    }
    const service = find('Service').spec
    t.match(metadata.labels, service.selector)
    const ports = [service.ports[0].targetPort, find('NetworkPolicy').spec.ingress[0].ports[0].port]
    for (const { httpGet } of [
      container.startupProbe,
      container.livenessProbe,
      container.readinessProbe
    ]) {
      ports.push(httpGet.port)
    }
    t.strictSame([...new Set(ports)], [container.ports[0].name])
    for (const { configMapRef, secretRef } of container.envFrom) {
      const source = configMapRef ? find('ConfigMap') : find('Secret')
      t.equal((configMapRef ?? secretRef).name, source.metadata.name)
      for (const name of Object.keys(source.data ?? source.stringData)) t.ok(isVariable(name), name)
    }
  })

  t.test('a pod has time to end', async t => {
    const [, seconds] = container.lifecycle.preStop.exec.command
    t.ok(pod.terminationGracePeriodSeconds >= Number(seconds) + shutdownSeconds + 5)
  })
})

/** Returns the errors of the compiler about resources of Kubernetes, one `const` for each. */
function kubernetesErrors(
  t: Parameters<typeof typeErrors>[0],
  resources: { apiVersion: string; kind: string }[]
): string {
  const lines = resources.flatMap(({ apiVersion, kind, ...rest }, n) => {
    const group = apiVersion === 'v1' ? 'core/v1' : apiVersion.replace('.k8s.io', '')
    const value = JSON.stringify({ apiVersion, kind, ...rest })
    return [
      `import type { ${kind} as Kind${n} } from 'kubernetes-types/${group}.js'`,
      `export const resource${n}: Kind${n} = ${value}`
    ]
  })
  return typeErrors(t, { 'resources.ts': lines.join('\n') }, { skipLibCheck: true })
}

t.test('compose.yaml', async t => {
  const { services, volumes } = parse(read('compose.yaml'), { merge: true })

  t.test('every mounted file and volume exists, but the certificate', async t => {
    for (const service of Object.values<{ volumes?: string[] }>(services)) {
      for (const [source = ''] of (service.volumes ?? []).map(volume => volume.split(':'))) {
        if (/^\.\/compose\/concord\.(crt|key)$/.test(source)) continue
        t.ok(source.startsWith('./') ? existsSync(join(deploy, source)) : source in volumes, source)
      }
    }
    const { context, dockerfile } = services.concord.build
    t.ok(existsSync(join(deploy, context, dockerfile)))
  })

  t.test('nodes have variables of the service only, and time to end', async t => {
    for (const node of [services.concord, services['concord-2']]) {
      for (const name of Object.keys(node.environment)) t.ok(isVariable(name), name)
      t.ok(Number(node.stop_grace_period.slice(0, -1)) >= shutdownSeconds + 5)
      t.ok(node.read_only)
      t.strictSame(node.cap_drop, ['ALL'])
    }
    t.equal(services.concord.environment.WORKERS, 2)
  })

  t.test('every service that another one depends on exists', async t => {
    for (const service of Object.values<{ depends_on?: object }>(services)) {
      for (const name of Object.keys(service.depends_on ?? {})) {
        t.ok(name in services, name)
        t.ok(services[name].healthcheck ?? services[name].image === 'concord', name)
      }
    }
  })

  t.test('nginx has the tested configuration, with another address of the nodes', async t => {
    const lines = read('proxies/nginx.conf').split('\n')
    const own = read('compose/nginx.conf').split('\n')
    const differing = own.filter((line, n) => line !== lines[n])
    t.equal(own.length, lines.length)
    t.match(differing, [/^# /, /^ {4}server nodes:3000;/])
    t.equal(differing.length, 2)
    t.strictSame(services.concord.networks.default.aliases, ['nodes'])
  })
})

const skip =
  spawnSync('systemd-analyze', ['--version']).status === 0
    ? false
    : "systemd-analyze is not installed: Debian's package is `systemd`"

t.test('the unit of systemd is valid and has few rights', { skip }, async t => {
  const unit = read('systemd/concord.service')
  const folder = t.testdir({ 'concord.service': unit.replaceAll('/opt/concord', root) })
  const file = join(folder, 'concord.service')
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' })
  t.equal(status, 0, stderr)
  const report = execFileSync('systemd-analyze', ['security', '--offline=true', file], {
    encoding: 'utf8'
  })
  const [, exposure] = /exposure level for concord.service: ([\d.]+)/.exec(report) ?? []
  t.ok(Number(exposure) <= 2, `exposure ${exposure}`)
  t.notMatch(unit, /^MemoryDenyWriteExecute/m, 'V8 compiles code at run time')
  const [, seconds] = /^TimeoutStopSec=(\d+)s$/m.exec(unit) ?? []
  t.ok(Number(seconds) >= shutdownSeconds + 5)
})
