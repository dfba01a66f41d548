import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { openStream } from '../../support/client.ts'
import type { Attack } from '../attacks.ts'
import { withId } from '../tools.ts'

const sizes = { lists: 100, streams: 200, sockets: 50, items: 50, text: 2000, frame: 250_000 }

export const connectionAttacks: Record<string, Attack> = {
  'streams aborted': {
    description: 'GET /events, destroyed right after the request line or the head, 200 a second',
    async prepare(tools) {
      const { headers } = await tools.registerUser()
      return () =>
        tools.atRate(200, n => {
          const lines = n % 4 === 0 ? [] : ['GET /events HTTP/1.1']
          const socket = tools.openBareSocket(lines, headers)
          socket.once('connect', () => setImmediate(() => socket.destroy()))
        })
    }
  },

  'slow readers': {
    description:
      '200 streams and 50 sockets that do not read, while their list changes by 40 KB 10 times a second',
    async prepare(tools) {
      const [ann, sam] = [await tools.registerUser(), await tools.registerUser()]
      const text = (n: number) => `${n} `.padEnd(sizes.text, 'x')
      const items = Array.from({ length: sizes.items }, () => ({
        itemId: randomUUID(),
        text: text(0)
      }))
      const list = await tools.createList(ann, [sam], items)
      const firstMessages = [{ type: 'open', checklistId: list.id }]
      for (let n = 0; n < sizes.streams; n++) {
        const socket = openStream(tools.url, sam.headers, () => {})
        socket.once('data', () => socket.pause())
      }
      for (let n = 0; n < sizes.sockets; n++) tools.createSocket(sam.headers, firstMessages).pause()
      const writer = tools.createSocket(ann.headers)
      return () =>
        tools.atRate(10, n => {
          const ops = list.items.splice(0, 10).map(item => {
            const to = text(n)
            list.items.push({ ...item, text: to })
            const set = { text: { from: item.text, to } }
            return withId({ kind: 'item.set', itemId: item.itemId, set })
          })
          writer.send({ type: 'push', checklistId: list.id, ops })
        })
    }
  },

  presence: {
    description: '10 sockets that open 100 lists each, and send presence 90 times a second each',
    async prepare(tools) {
      const ann = await tools.registerUser()
      const { headers } = ann
      const { projectId } = await tools.createList(ann, [], [])
      const path = `/projects/${projectId}/checklists`
      const lists: string[] = []
      while (lists.length < sizes.lists) {
        const { id } = await tools.requestUntilAccepted('POST', path, {
          headers,
          body: { title: 'To buy' }
        })
        lists.push(id)
      }
      const firstMessages = lists.map(checklistId => ({ type: 'open', checklistId }))
      const sockets = Array.from({ length: 10 }, () => tools.createSocket(headers, firstMessages))
      return () =>
        tools.atRate(900, n => {
          const checklistId = lists[Math.floor(n / 10) % lists.length]
          const state = { draft: `${n} `.padEnd(500, 'x') }
          sockets[n % 10]?.send({ type: 'presence', checklistId, state })
        })
    }
  },

  'malformed frames': {
    description:
      '300 frames a second that are no message: no JSON, unknown types, deep and long arrays',
    async prepare(tools) {
      const { headers } = await tools.registerUser()
      const sockets = Array.from({ length: 10 }, () => tools.createSocket(headers))
      const frames = [
        '{',
        'null',
        '{"type":"push"}',
        '{"type":"nothing"}',
        `{"type":"open","checklistId":"${'x'.repeat(10_000)}"}`,
        '"\\ud800"',
        '[1]'.repeat(1000),
        '{"type":"push","ops":'.repeat(100)
      ]
      const large = ['['.repeat(sizes.frame), `[${'{},'.repeat(sizes.frame / 3 - 2)}{}]`]
      return () =>
        tools.atRate(300, n => {
          const all = n % 10 === 0 ? large : frames
          sockets[n % 10]?.send(all[Math.floor(n / 10) % all.length] as string)
        })
    }
  },

  'other upgrades': {
    description:
      'Upgrade headers on other paths than /live, 200 connections a second that stay for 2 s',
    async prepare(tools) {
      const { headers } = await tools.registerUser()
      const paths = ['/health/live', '/users/me', '/metrics', '/events', '/projects', '/docs/json']
      const websocket = {
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': Buffer.from('0123456789abcdef').toString('base64')
      }
      return () =>
        tools.atRate(200, async n => {
          const upgrade = n % 2 === 0 ? websocket : { upgrade: 'h2c', 'http2-settings': '' }
          const lines = [`GET ${paths[n % paths.length]} HTTP/1.1`]
          const socket = tools.openBareSocket(lines, {
            ...headers,
            connection: 'Upgrade',
            ...upgrade
          })
          await delay(2000)
          socket.destroy()
        })
    }
  }
}
