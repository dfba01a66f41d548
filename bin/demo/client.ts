import { createSocketClient } from './socket-client.ts'
import { createStreamClient } from './stream-client.ts'

export type DemoClient = Awaited<ReturnType<typeof createDemoClient>>

/** Signs a user up on one node, and signs them in. Returns a client for that user and node. */
export async function createDemoClient(node: string, name: string) {
  const account = { email: `${name.toLowerCase()}@example.com`, password: `${name}, only a demo` }
  let authorization = ''
  await request('POST', '/auth/signup', { ...account, name })
  const { accessToken } = await request('POST', '/auth/signin', account)
  authorization = `Bearer ${accessToken}`

  return {
    email: account.email,
    request,
    ...createStreamClient(node, authorization),
    ...createSocketClient(node, authorization)
  }

  async function request(method: string, path: string, body?: object) {
    const response = await fetch(`${node}${path}`, {
      method,
      headers: { authorization, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body)
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path} returned ${response.status}: ${text}`)
    return text === '' ? undefined : JSON.parse(text)
  }
}
