import t from 'tap'
import { loggerOptions } from '../../lib/log.ts'

t.test('the log is JSON unless it is written to a terminal', async t => {
  t.notOk('stream' in loggerOptions('info', false))
  t.ok('stream' in loggerOptions('info', true))
})

t.test('a log line of a request has no query string and no header', async t => {
  const { serializers } = loggerOptions('info', false)
  const request = {
    method: 'GET',
    url: '/events?token=x',
    ip: '192.0.2.1',
    headers: { cookie: 'y' }
  }
  t.strictSame(serializers.req(request as never), {
    method: 'GET',
    url: '/events',
    remoteAddress: '192.0.2.1'
  })
})
