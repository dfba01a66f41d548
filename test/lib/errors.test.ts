import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCodes } from 'fastify'
import t from 'tap'
import * as errors from '../../lib/errors.ts'
import { ErrorCode } from '../../schemas/error.ts'

const codes: string[] = ErrorCode.enum

t.test('every error of the service has a unique code of the catalogue', async t => {
  const own = Object.values(errors).map(Refusal => new Refusal().code)
  for (const code of own) t.ok(codes.includes(code), code)
  t.equal(new Set(own).size, own.length)
  t.equal(new Set(codes).size, codes.length)
})

t.test('the error catalogue contains every Fastify code that routes can return', async t => {
  // Codes that the not-found handler, the router and the routes never return.
  const unreachable = [
    'FST_ERR_NOT_FOUND',
    'FST_ERR_CTP_INSTANCE_ALREADY_STARTED',
    'FST_ERR_INVALID_URL',
    'FST_ERR_ROUTE_MISSING_CONTENT_TYPE',
    'FST_ERR_ROUTE_MISSING_CONTENT'
  ]
  const returned = Object.entries(errorCodes).flatMap(([code, Refusal]) =>
    (new Refusal().statusCode ?? 500) < 500 && !unreachable.includes(code) ? [code] : []
  )
  t.strictSame(codes.filter(code => code.startsWith('FST_')).sort(), returned.sort())
})

t.test('the service can return every code of the error catalogue', async t => {
  const root = join(import.meta.dirname, '../..')
  const own = Object.values(errors).map(Refusal => new Refusal().code)
  // Responses and messages without an Error, such as `{ type: 'error', code: 'BAD_MESSAGE', … }`.
  const written = globSync(['{lib,plugins,routes}/**/*.ts'], { cwd: root })
    .flatMap(path => [...readFileSync(join(root, path), 'utf8').matchAll(LITERAL)])
    .map(([, code = '']) => code)
  const returned = new Set([...own, ...written, ...Object.keys(errorCodes)])
  for (const code of codes) t.ok(returned.has(code), code)
  for (const code of written) t.ok(codes.includes(code) || isInternal(code), code)
})

const LITERAL = /\bcode(?:: |\) \? code : )'([A-Z_]+)'/g

/** Returns whether the code is of an error that no client receives. */
function isInternal(code: string): boolean {
  return code === 'NOT_STARTED'
}
