// The health answers of the drop-in: status and body for every state of every output, with the keys of the original in its order.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OutputReport, StatusReport } from '../../src/core/health.ts'
import { createHealthHandler, type Outputs } from '../../src/spiffe-helper/health-body.ts'

type Status = OutputReport['status']

const paths = { livenessPath: '/live', readinessPath: '/ready', port: 1 }
const report = (outputs: readonly OutputReport[], more: Partial<StatusReport> = {}): StatusReport => ({
  ready: true,
  started: true,
  missing: [],
  version: '1',
  now: '2030-01-01T00:00:00Z',
  pid: 1,
  identities: [],
  profiles: [],
  outputs,
  listeners: {},
  problems: [],
  events: [],
  ...more,
})
const x509 = (status: Status): OutputReport => ({ name: 'helper.conf x509', kind: 'x509', status, notAfter: '2029-12-31T00:00:00Z' })
const jwt = (index: number, status: Status): OutputReport => ({
  name: `helper.conf jwt_svids[${index}]`,
  kind: 'jwt',
  status,
  notAfter: '2029-12-31T00:00:00Z',
})
const bundle = (status: Status): OutputReport => ({ name: 'helper.conf jwt_bundle', kind: 'jwt_bundle', status })

const outputs: Outputs = new Map([
  ['helper.conf x509', undefined],
  ['helper.conf jwt_bundle', 'certs/z.json'],
  ['helper.conf jwt_svids[0]', 'certs/b.jwt'],
  ['helper.conf jwt_svids[1]', 'certs/a.jwt'],
])

function ask(
  all: readonly OutputReport[],
  { path = '/ready', more = {}, known = outputs }: { path?: string; more?: Partial<StatusReport>; known?: Outputs } = {},
) {
  const { status, headers, body } = createHealthHandler(paths, known, () => report(all, more))({ path })
  return { status, headers, body: String(body) }
}
const bodyOf = (status: string, statuses: string, reasons = ''): string => `{"status":"${status}","health":{"file_write_statuses":{${statuses}}}${reasons}}`

test('when all is written the body is that of the original, byte by byte', () => {
  const statuses = '"x509_write_status":"written","jwt_write_status":{"certs/a.jwt":"written","certs/b.jwt":"written","certs/z.json":"written"}'
  const all = [x509('written'), bundle('written'), jwt(0, 'written'), jwt(1, 'written')]
  assert.deepEqual(ask(all), { status: 200, headers: { 'content-type': 'application/json' }, body: bodyOf('OK', statuses) })
  assert.deepEqual(ask(all, { path: '/live' }), ask(all))
})

const states: readonly (readonly [state: Status, told: string, live: number, ready: number])[] = [
  ['missing', 'unwritten', 200, 503],
  ['failed', 'failed', 503, 503],
  ['outdated', 'failed', 503, 503],
  ['written', 'written', 200, 200],
  ['expired', 'written', 200, 503],
]
for (const [state, told, live, ready] of states)
  for (const kind of ['x509', 'jwt', 'jwt_bundle'] as const)
    test(`an output of kind ${kind} that is ${state} is told as ${told}, live ${live}, ready ${ready}`, () => {
      const all = { x509: x509(state), jwt: jwt(0, state), jwt_bundle: bundle(state) }[kind]
      const [liveness, readiness] = [ask([all], { path: '/live' }), ask([all])]
      assert.deepEqual([liveness.status, readiness.status], [live, ready])
      const statuses = JSON.parse(readiness.body).health.file_write_statuses
      assert.deepEqual(
        statuses,
        kind === 'x509' ? { x509_write_status: told, jwt_write_status: {} } : { jwt_write_status: { [outputs.get(all.name) ?? '']: told } },
      )
      assert.equal(JSON.parse(liveness.body).status, live === 200 ? 'OK' : 'Service Unavailable')
    })

test('one failed output among good ones makes the whole not live and not ready', () => {
  const all = [x509('written'), jwt(0, 'failed'), jwt(1, 'written')]
  assert.deepEqual([ask(all).status, ask(all, { path: '/live' }).status], [503, 503])
})

test('without X.509 files there is no status of them, and without others an empty object', () => {
  assert.equal(ask([jwt(0, 'written')]).body, bodyOf('OK', '"jwt_write_status":{"certs/b.jwt":"written"}'))
  assert.equal(ask([x509('written')]).body, bodyOf('OK', '"x509_write_status":"written","jwt_write_status":{}'))
})

test('what has expired is said with the reason, behind what the original says', () => {
  const reasons = ',"reasons":["the X.509-SVID expired at 2029-12-31T00:00:00Z, and the agent has given no other"]'
  assert.equal(ask([x509('expired')]).body, bodyOf('Service Unavailable', '"x509_write_status":"written","jwt_write_status":{}', reasons))
  assert.match(ask([jwt(1, 'expired')]).body, /"reasons":\["certs\/a\.jwt expired at 2029-12-31T00:00:00Z, and the agent has given no other"\]/)
})

test('a hint that nothing carries is a failed write of the X.509 files', () => {
  const problem = { subject: 'identity helper.conf', code: 'identity_missing', message: '', remedy: '', since: '', runbook: '' } as const
  const got = ask([x509('missing'), jwt(0, 'missing')], { path: '/live', more: { problems: [problem] } })
  assert.equal(got.status, 503)
  assert.match(got.body, /"x509_write_status":"failed","jwt_write_status":\{"certs\/b\.jwt":"unwritten"\}/)
})

test('a hint that nothing carries for an identity of svidecar_config is no failure here', () => {
  const problem = { subject: 'identity default', code: 'identity_missing', message: '', remedy: '', since: '', runbook: '' } as const
  assert.equal(ask([x509('written')], { path: '/live', more: { problems: [problem] } }).status, 200)
})

test('outputs of svidecar_config do not count here', () => {
  const other: OutputReport = { name: 'x509 /other', kind: 'x509', status: 'failed' }
  assert.deepEqual([ask([x509('written'), other]).status, ask([x509('written'), other], { path: '/live' }).status], [200, 200])
})

test('the order of the names is that of their texts, whatever they look like', () => {
  const known: Outputs = new Map([
    ['helper.conf jwt_svids[0]', '9'],
    ['helper.conf jwt_svids[1]', '10'],
  ])
  assert.equal(ask([jwt(0, 'written'), jwt(1, 'written')], { known }).body, bodyOf('OK', '"jwt_write_status":{"10":"written","9":"written"}'))
})

test('a file called __proto__ is told like any other', () => {
  assert.match(ask([jwt(0, 'written')], { known: new Map([['helper.conf jwt_svids[0]', '__proto__']]) }).body, /"jwt_write_status":\{"__proto__":"written"\}/)
})

test('characters that HTML knows are told as the original tells them', () => {
  assert.match(ask([jwt(0, 'written')], { known: new Map([['helper.conf jwt_svids[0]', 'a<b>&']]) }).body, /"a\\u003cb\\u003e\\u0026":"written"/)
})

test('the body is bytes, so that its length can be told for a HEAD, too', () => {
  assert.ok(Buffer.isBuffer(createHealthHandler(paths, outputs, () => report([x509('written')]))({ path: '/live' }).body))
})

test('a path that ends with a slash stands for all below it, and the longer one counts', () => {
  const handler = createHealthHandler({ ...paths, livenessPath: '/', readinessPath: '/ready/' }, outputs, () => report([x509('missing')]))
  assert.deepEqual(
    ['/', '/x', '/ready', '/ready/', '/ready/x'].map((path) => handler({ path }).status),
    [200, 200, 200, 503, 503],
  )
})

for (const path of ['/', '/live/', '/Live', '/ready/x', '/readyz', '/metrics', ''])
  test(`${JSON.stringify(path)} is not found, as Go says it`, () => {
    assert.deepEqual(ask([x509('written')], { path }), {
      status: 404,
      headers: { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' },
      body: '404 page not found\n',
    })
  })
