// What every kind of listener refuses, row by row, over raw sockets to the handlers as the daemon opens them.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createContainerHandler } from '../../src/endpoints/container.ts'
import { hostRule } from '../../src/endpoints/guard.ts'
import { createImdsHandler } from '../../src/endpoints/imds.ts'
import { createImdsTokens } from '../../src/endpoints/imds-token.ts'
import { createProbesHandler, createStatusHandler } from '../../src/endpoints/probes.ts'
import { type Handler, listen, type OpenListener } from '../../src/endpoints/server.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { emptyReport } from './reports.ts'
import { ask, fresh, hangUp, head, profileOf, type RawAnswer } from './support.ts'

const clock = createFakeClock()
const emit = () => {}
const token = 'a'.repeat(43)
const profile = profileOf('app', fresh(clock, 3_600_000))
const tokens = createImdsTokens(Buffer.alloc(32, 1), 'imds app', clock)
const imdsToken = tokens.issue(21_600)
const names = ['pod.internal']
const health = () => ({ ready: true, started: true, missing: [] })

interface Kind {
  readonly handler: Handler
  /** Requests that are served, and what comes with each: the rows are added to these. */
  readonly routes: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  readonly credentials: boolean
}

const kinds: Record<string, Kind> = {
  container: {
    handler: createContainerHandler({
      hosts: hostRule('127.0.0.1', names),
      consumers: [{ name: 'app', tokens: [{ bytes: Buffer.from(token), until: Number.POSITIVE_INFINITY }], profiles: [profile] }],
      profiles: new Set(['app']),
      clock,
      emit,
    }),
    routes: ['GET /v1/credentials', 'GET /v1/credentials/app'],
    headers: { Authorization: token },
    credentials: true,
  },
  imds: {
    handler: createImdsHandler({
      hosts: hostRule('127.0.0.1', names),
      profile,
      availabilityZone: 'eu-central-1a',
      tokens,
      clock,
      emit,
      signal: new AbortController().signal,
    }),
    routes: [
      'PUT /latest/api/token',
      ...[
        'meta-data/iam/security-credentials/',
        'meta-data/iam/security-credentials/app',
        'meta-data/iam/info',
        'meta-data/placement/region',
        'dynamic/instance-identity/document',
      ].map((path) => `GET /latest/${path}`),
    ],
    headers: { 'X-aws-ec2-metadata-token-ttl-seconds': '60', 'X-aws-ec2-metadata-token': imdsToken },
    credentials: true,
  },
  metrics: {
    handler: createProbesHandler({ hosts: hostRule('127.0.0.1', names, true), health, metrics: async () => ({ contentType: 'text/plain', body: 'up 1\n' }) }),
    routes: ['GET /livez', 'GET /startupz', 'GET /readyz', 'GET /metrics'],
    headers: {},
    credentials: false,
  },
  status: { handler: createStatusHandler(hostRule('127.0.0.1', names), () => emptyReport), routes: ['GET /status'], headers: {}, credentials: false },
}

type Headers = Readonly<Record<string, string>>

const browserRows: readonly [string, Headers][] = [
  ['a foreign Host', { Host: 'evil.example' }],
  ['a Host that starts like ours', { Host: '127.0.0.1.evil.example' }],
  ['a Host with a user', { Host: 'evil@127.0.0.1' }],
  ['a Host with a user that is ours', { Host: '127.0.0.1@evil.example' }],
  ['a Host with two ports', { Host: '127.0.0.1:80:80' }],
  ['a Host with a trailing dot', { Host: 'localhost.' }],
  ['localhost6, which once was let in elsewhere (CVE-2021-22884)', { Host: 'localhost6' }],
  ['a decimal address', { Host: '2130706433' }],
  ['two Hosts in one', { Host: '127.0.0.1, evil.example' }],
  ['an empty Host', { Host: '' }],
  ['a page of another origin', { Origin: 'http://evil.example' }],
  ['a sandboxed page', { Origin: 'null' }],
  ['a page of another site', { 'Sec-Fetch-Site': 'cross-site' }],
  ['a page of a neighbour', { 'sec-fetch-site': 'same-site' }],
]

const credentialRows: readonly [string, Headers][] = [
  ['another loopback address as Host', { Host: '127.0.0.2' }],
  ['an IPv6 literal as Host', { Host: '[::1]' }],
  ['a page of the same origin', { Origin: 'http://127.0.0.1' }],
  ['an empty Origin', { Origin: '' }],
  ['a script of the same origin', { 'Sec-Fetch-Site': 'same-origin' }],
  ...['X-Forwarded-For', 'Forwarded', 'Via', 'X-Real-IP'].flatMap((name): [string, Headers][] => [
    [`${name}`, { [name]: '10.0.0.1' }],
    [`an empty ${name}`, { [name]: '' }],
    [`${name} in another case`, { [name.toUpperCase()]: '127.0.0.1' }],
  ]),
]

const goodRows: readonly [string, Headers][] = [
  ['the literal and a port', { Host: '127.0.0.1:9912' }],
  ['localhost in capitals', { Host: 'LOCALHOST:1' }],
  ['a configured name', { Host: 'Pod.Internal' }],
  ['a navigation by hand', { 'Sec-Fetch-Site': 'none' }],
]

for (const [name, kind] of Object.entries(kinds))
  describe(`the ${name} listener`, () => {
    let open: OpenListener
    before(async () => {
      open = await listen(name, { kind: 'tcp', host: '127.0.0.1', port: 0, loopbackOnly: true }, kind.handler)
    })
    after(() => {
      hangUp()
      return open.stop()
    })

    async function send(line: string, headers: Headers): Promise<RawAnswer> {
      const answer = await ask(open.port, head(line, { ...kind.headers, ...headers }))
      const cors = Object.keys(answer.headers).filter((one) => one.startsWith('access-control'))
      assert.deepEqual(cors, [], 'no page may read an answer')
      if (name === 'imds' && answer.status >= 400) assert.equal(answer.body, '')
      if (answer.status >= 400) assert.ok(!answer.body.includes('secret') && !answer.body.includes(token))
      return answer
    }

    test('serves its routes, to each way of naming it', async () => {
      for (const line of kind.routes)
        for (const [what, headers] of [['nothing special', {}] as const, ...goodRows]) assert.equal((await send(line, headers)).status, 200, `${line}: ${what}`)
    })

    test('refuses browsers and foreign names on every route, known or not', async () => {
      const rows = kind.credentials ? [...browserRows, ...credentialRows] : browserRows
      for (const line of [...kind.routes, 'GET /nothing/here', 'POST /v1/credentials'])
        for (const [what, headers] of rows) assert.equal((await send(line, headers)).status, 403, `${line}: ${what}`)
    })

    test('answers 405 to OPTIONS on every path, also to a preflight', async () => {
      for (const path of ['*', '/', '/nothing', ...kind.routes.map((line) => line.split(' ')[1])])
        for (const headers of [{}, { 'Access-Control-Request-Method': 'GET' }]) assert.equal((await send(`OPTIONS ${path}`, headers)).status, 405, path)
    })

    test('answers 404 to every path that two readers could read differently', async () => {
      for (const line of kind.routes) {
        const [method, path = ''] = line.split(' ')
        for (const trick of [
          `/x/..${path}`,
          `/.${path}`,
          `${path}/..`,
          `/%2e%2e${path}`,
          `/%2f${path.slice(1)}`,
          path.replace(/(.)$/, (last) => `%${last.charCodeAt(0).toString(16)}`),
          `${path};x`,
          `${path}%00`,
          `${path}\\`,
          path.toUpperCase(),
          `http://evil.example${path}`,
          `http://127.0.0.1${path}`,
          `/x${path}`,
          `${path}%zz`,
        ])
          assert.equal((await send(`${method} ${trick}`, {})).status, 404, trick)
      }
    })

    test('forgives slashes that SDKs add, before, within and after a path', async () => {
      for (const line of kind.routes) {
        const [method, path = ''] = line.split(' ')
        for (const same of [`/${path}`, `${path}/`, path.replaceAll('/', '///')]) assert.equal((await send(`${method} ${same}`, {})).status, 200, same)
      }
    })

    test('refuses a body on every route', async () => {
      for (const line of kind.routes) assert.equal((await send(line, { 'Content-Length': '3' })).status, 413, line)
    })

    test('answers no other method', async () => {
      const paths = kind.routes.map((line) => line.split(' ')[1] ?? '')
      for (const path of paths)
        for (const method of ['POST', 'DELETE', 'PATCH', 'TRACE', 'PROPFIND', ...(kind.credentials ? ['HEAD'] : [])])
          assert.equal((await send(`${method} ${path}`, {})).status, 405, `${method} ${path}`)
    })
  })

test('the rows of the public listeners that are allowed: their own pages, and any address for metrics', async (t) => {
  for (const name of ['metrics', 'status']) {
    const handler = kinds[name]?.handler ?? (() => ({ status: 500 }))
    const open = await listen(name, { kind: 'tcp', host: '127.0.0.1', port: 0, loopbackOnly: true }, handler)
    t.after(() => open.stop())
    const line = kinds[name]?.routes[0] ?? ''
    const statusOf = async (headers: Headers) => (await ask(open.port, head(line, headers))).status
    assert.equal(await statusOf({ 'Sec-Fetch-Site': 'same-origin', Origin: 'http://127.0.0.1' }), 200)
    assert.equal(await statusOf({ Origin: 'https://127.0.0.1' }), 403)
    assert.equal(await statusOf({ Host: '[fd00::7]:9913' }), name === 'metrics' ? 200 : 403)
  }
})
