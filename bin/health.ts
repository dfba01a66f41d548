import { get } from 'node:http'
import { text } from 'node:stream/consumers'

/*
 * Exits with 0 when the node on this machine can serve requests, and with 1 otherwise; prints what `GET /health/ready`
 * returns. For the health checks of containers, which run it every few seconds: so it loads nothing but Node, and reads
 * HOST and PORT itself.
 *
 * node bin/health.ts
 */
const limits = { responseMs: 4000 }

try {
  process.loadEnvFile()
} catch {
  // There is no .env.
}
const { HOST = '127.0.0.1', PORT = '3000' } = process.env
const host = { '0.0.0.0': '127.0.0.1', '::': '::1' }[HOST] ?? HOST
const request = get({ host, port: PORT, path: '/health/ready', timeout: limits.responseMs })
request.on('timeout', () => request.destroy(new Error(`none within ${limits.responseMs} ms`)))
request.on('error', ({ message }) => {
  process.stderr.write(`no response: ${message}\n`)
  process.exitCode = 1
})
request.on('response', async response => {
  process.stdout.write(`${await text(response)}\n`)
  if (response.statusCode !== 200) process.exitCode = 1
})
