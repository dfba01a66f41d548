import { once } from 'node:events'
import { connect } from 'node:net'
import { registerUser } from '../support/client.ts'
import { compare, measure } from '../support/compare.ts'
import { withPeer } from '../support/peers.ts'
import type { StartedProcess } from '../support/process.ts'
import { startService } from '../support/service.ts'
import { percentile } from '../support/statistics.ts'

/*
 * Compares POST /auth/refresh with one `update … returning` behind fastify. Each client has a session of its own, and
 * each request replaces its cookie.
 */
const sessions = 32

await compare<number>({
  title: 'POST /auth/refresh',
  seconds: 4,
  loads: { '1 client': 1, '8 clients': 8, '32 clients': 32 },
  async start(env) {
    const service = await startService({ ...env, REFRESH_GRACE: '0' })
    const { email, password } = await registerUser(service.url)
    return [
      await createVariant('service', service, { email, password }),
      ...(await withPeer('accounts.ts', env, peer =>
        createVariant('update behind fastify', peer, { email })
      )),
      ...(await withPeer('accounts.py', env, peer => createVariant('FastAPI', peer, { email })))
    ]
  }
})

async function createVariant(name: string, { url, pid }: StartedProcess, account: object) {
  const cookies: string[] = []
  while (cookies.length < sessions) {
    const response = await fetch(`${url}/auth/signin`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(account)
    })
    cookies.push(response.headers.get('set-cookie')?.split(';')[0] ?? '')
  }
  return {
    name,
    round: (clients: number, seconds: number) =>
      measure('request', pid, async () => {
        const end = performance.now() + seconds * 1000
        const all = await Promise.all(
          cookies.slice(0, clients).map((_, n) => refreshUntil(end, url, cookies, n))
        )
        const times = all.flat()
        const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)]
        return { count: times.length, 'p50 ms': p50, 'p99 ms': p99 }
      })
  }
}

/** Refreshes a session again and again on one TCP connection. Returns how many milliseconds each request took. */
async function refreshUntil(end: number, url: string, cookies: string[], n: number) {
  const { hostname, port, host } = new URL(url)
  const socket = connect(Number(port), hostname).setEncoding('latin1').setNoDelay()
  const times: number[] = []
  for (let start = performance.now(); start < end; start = performance.now()) {
    const lines = [`host: ${host}`, `cookie: ${cookies[n]}`, 'content-length: 0', '', '']
    socket.write(`POST /auth/refresh HTTP/1.1\r\n${lines.join('\r\n')}`)
    let response = ''
    while (!response.endsWith('}')) response += (await once(socket, 'data'))[0]
    times.push(performance.now() - start)
    const [, cookie] = /^set-cookie: (refresh=[^;]+)/im.exec(response) ?? []
    if (!response.startsWith('HTTP/1.1 200') || !cookie) throw new Error(response)
    cookies[n] = cookie
  }
  socket.destroy()
  return times
}
