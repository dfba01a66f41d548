import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

/** The addresses and paths of a proxy in a test, which replace those of the documentation. */
export interface Place {
  folder: string
  /** the port for TLS */
  port: number
  httpPort: number
  /** the address of the node, such as `127.0.0.1:41234` */
  node: string
}

export interface ProxyKind {
  name: string
  /** the file in deploy/proxies */
  file: string
  program: string | undefined
  /** how to install the program */
  install: string
  /** what is replaced in the file, by what */
  replacements(place: Place): Record<string, string>
  args(file: string, place: Place): string[]
  /** whether a reload closes sockets; their clients reconnect */
  closesSockets?: boolean
  /** whether clients may open sockets over HTTP/2 (RFC 8441) */
  hasHttp2Sockets?: boolean
  /** the signal that ends all processes at once */
  end: NodeJS.Signals
  /** Makes the program read its configuration again, as its service unit does. Envoy reads it only when it starts. */
  reload?(pid: number, file: string, place: Place): Promise<unknown>
}

const run = promisify(execFile)

export const nginx: ProxyKind = {
  name: 'nginx',
  file: 'nginx.conf',
  program: find('nginx'),
  install: 'apt-get install nginx',
  end: 'SIGTERM',
  replacements: ({ folder, port, httpPort, node }) => ({
    'http {': [
      'http {',
      'access_log off;',
      ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        name => `${name}_temp_path ${folder}/${name};`
      )
    ].join('\n'),
    'listen 80;': `listen 127.0.0.1:${httpPort};`,
    'listen 443 ssl http2;': `listen 127.0.0.1:${port} ssl http2;`,
    '/etc/nginx/concord.crt': `${folder}/concord.crt`,
    '/etc/nginx/concord.key': `${folder}/concord.key`,
    '127.0.0.1:3000': node
  }),
  args: (file, { folder }) => [
    ...['-p', folder, '-c', file, '-e', 'stderr'],
    ...['-g', `daemon off; pid ${folder}/nginx.pid;`]
  ],
  reload: (_pid, file, place) =>
    run(nginx.program as string, [...nginx.args(file, place), '-s', 'reload'])
}

export const haproxy: ProxyKind = {
  name: 'HAProxy',
  file: 'haproxy.cfg',
  program: find('haproxy'),
  install: 'apt-get install haproxy',
  end: 'SIGTERM',
  replacements: ({ folder, port, httpPort, node }) => ({
    // An ordinary user may not open the files for more.
    'maxconn 20000': 'maxconn 200',
    'bind :80': `bind 127.0.0.1:${httpPort}`,
    'bind :443': `bind 127.0.0.1:${port}`,
    '/etc/haproxy/concord.pem': `${folder}/concord.pem`,
    '127.0.0.1:3000': node
  }),
  hasHttp2Sockets: true,
  args: file => ['-W', '-db', '-f', file],
  reload: async pid => process.kill(pid, 'SIGUSR2')
}

const caddy: ProxyKind = {
  name: 'Caddy',
  file: 'Caddyfile',
  program: find('caddy'),
  install: 'apt-get install caddy',
  closesSockets: true,
  end: 'SIGKILL', // it waits for its streams after SIGTERM
  replacements: ({ folder, port, node }) => ({
    '{\n\tgrace_period': [
      '{',
      `admin unix/${folder}/admin.sock`,
      'auto_https disable_redirects',
      ...['servers {', 'protocols h1 h2', '}'],
      'grace_period'
    ].join('\n'),
    'concord.example.com {': [
      `https://127.0.0.1:${port} {`,
      'bind 127.0.0.1',
      `tls ${folder}/concord.crt ${folder}/concord.key`
    ].join('\n'),
    '127.0.0.1:3000': node
  }),
  args: file => ['run', '--config', file, '--adapter', 'caddyfile'],
  reload: (_pid, file, { folder }) =>
    run(caddy.program as string, [
      ...['reload', '--config', file, '--adapter', 'caddyfile', '--force'],
      ...['--address', `unix/${folder}/admin.sock`]
    ])
}

const envoy: ProxyKind = {
  name: 'Envoy',
  file: 'envoy.yaml',
  program: find('envoy'),
  install: 'https://www.envoyproxy.io/docs/envoy/latest/start/install',
  end: 'SIGKILL',
  replacements: ({ folder, port, node }) => ({
    'address: 0.0.0.0, port_value: 443': `address: 127.0.0.1, port_value: ${port}`,
    '/etc/envoy/': `${folder}/`,
    'port_value: 3000': `port_value: ${node.split(':')[1]}`
  }),
  args: file => ['-c', file, '--log-level', 'warn', '--use-dynamic-base-id']
}

export const proxyKinds = [nginx, haproxy, caddy, envoy]

/** Returns the sentence with which tests behind a proxy are skipped, or false when its program is installed. */
export function skipOf({ name, program, install }: ProxyKind): string | false {
  if (program === undefined) return `needs ${name}: ${install}`
  return find('openssl') === undefined && 'needs OpenSSL: apt-get install openssl'
}

function find(program: string): string | undefined {
  return [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
    .map(folder => join(folder, program))
    .find(existsSync)
}
