import { randomUUID } from 'node:crypto'
import type { Attack } from '../attacks.ts'

const sizes = { body: 256 << 10, addresses: 40 }

export const requestAttacks: Record<string, Attack> = {
  projects: {
    description: '1,500 projects made by one token, 300 a second',
    async prepare(tools) {
      const { headers } = await tools.registerUser()
      return () =>
        tools.atRate(300, n => {
          if (n >= 1500) return
          return tools.request('POST', '/projects', { headers, body: { name: `Project ${n}` } })
        })
    }
  },

  'member look-ups': {
    description: '2,000 emails tried as members by one token, 300 a second',
    async prepare(tools) {
      const ann = await tools.registerUser()
      const { projectId } = await tools.createList(ann, [], [])
      return () =>
        tools.atRate(300, n => {
          if (n >= 2000) return
          const body = { email: `${randomUUID()}@example.com`, role: 'viewer' }
          return tools.request('POST', `/projects/${projectId}/members`, {
            headers: ann.headers,
            body
          })
        })
    }
  },

  'nested JSON': {
    description: 'bodies of 256 KiB of nested and of many values, 40 a second',
    async prepare(tools) {
      const ann = await tools.registerUser()
      const { id } = await tools.createList(ann, [], [])
      const fill = (part: string) => part.repeat(Math.floor((sizes.body - 200) / part.length))
      const half = (sizes.body - 200) / 2
      const bodies = [
        '['.repeat(half) + ']'.repeat(half),
        fill('{"a":'),
        `{"ops":[${fill('{},')}{}]}`,
        `{"ops":[${fill('{"kind":"item.set","opId":""},')}{}]}`,
        `{${fill('"__proto__":{},')}"a":1}`,
        `{"email":"${fill('a.')}@example.com","password":"${'x'.repeat(50)}"}`
      ]
      const paths = ['/auth/signin', '/projects', `/checklists/${id}/ops`]
      return () =>
        tools.atRate(40, n => {
          const body = bodies[n % bodies.length]
          const path = paths[Math.floor(n / bodies.length) % paths.length] as string
          return tools.request('POST', path, { headers: ann.headers, body })
        })
    }
  },

  'sign-in flood': {
    description:
      'wrong passwords for accounts that do and do not exist, 200 a second, from 40 addresses (on Linux)',
    async prepare(tools) {
      const { email } = await tools.registerUser()
      // The service refuses an address after 100 guesses. Only on Linux are all of 127.0.0.0/8 loopback addresses.
      const from = (n: number) =>
        process.platform === 'linux' ? `127.0.1.${1 + (n % sizes.addresses)}` : undefined
      return () =>
        tools.atRate(200, n => {
          const body = { email: n % 2 ? email : `${n}@example.com`, password: 'a guess' }
          return tools.request('POST', '/auth/signin', { body, from: from(n) })
        })
    }
  }
}
