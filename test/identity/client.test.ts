// The Workload API on the wire: what is sent with each call, what comes back, and who ended it.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parseSocketAddress } from '../../src/spiffe/socket-address.ts'
import { toStruct } from '../support/dev/messages.ts'
import { eventually } from '../support/eventually.ts'
import { connect, failureOf, first, startGrpc, temporaryFolder } from './grpc-agent.ts'

const none = new AbortController().signal
const jwt = { spiffe_id: 'spiffe://example.org/web', svid: 'a.b.c', hint: 'h' }
const svid = {
  spiffe_id: 'spiffe://example.org/web',
  x509_svid: Buffer.from('certificate'),
  x509_svid_key: Buffer.from('key'),
  bundle: Buffer.from('bundle'),
  hint: 'h',
}

test('sends the header that the standard wants with each of its methods, once', async (t) => {
  const { api, calls } = await startGrpc(t, { stream: (call) => call.end(), unary: (_request, reply) => reply({ code: 7, details: 'no' }) })
  for (const stream of [api.x509Contexts(none), api.x509Bundles(none), api.jwtBundles(none)]) await failureOf(first(stream))
  await failureOf(api.jwtSvids(['x'], undefined, none))
  await failureOf(api.validateJwtSvid('x', 'token', none))
  assert.deepEqual(
    calls,
    ['FetchX509SVID', 'FetchX509Bundles', 'FetchJWTBundles', 'FetchJWTSVID', 'ValidateJWTSVID'].map((method) => [method, ['true']]),
  )
})

describe('gives back', () => {
  test('an X.509 message as it was sent, empty fields as empty values', async (t) => {
    const messages = [{ svids: [svid], federated_bundles: { 'spiffe://other': Buffer.from('b') } }, { svids: [{}] }, {}]
    const { api } = await startGrpc(t, { stream: (call) => messages.forEach((message) => call.write(message)) })
    const got: unknown[] = []
    for await (const message of api.x509Contexts(none)) if (got.push(message) === messages.length) break
    const [full, empty, nothing] = got as { svids: object[]; federated_bundles: object }[]
    assert.deepEqual(full?.svids, [svid])
    assert.deepEqual({ ...full?.federated_bundles }, { 'spiffe://other': Buffer.from('b') })
    const bytes = Buffer.alloc(0)
    assert.deepEqual(empty?.svids, [{ spiffe_id: '', x509_svid: bytes, x509_svid_key: bytes, bundle: bytes, hint: '' }])
    assert.deepEqual([nothing?.svids, { ...nothing?.federated_bundles }], [[], {}])
  })

  test('bundles by their names', async (t) => {
    const bundles = { a: Buffer.from('a'), 'spiffe://b': Buffer.alloc(0) }
    const { api } = await startGrpc(t, { stream: (call) => call.write({ bundles }) })
    for (const stream of [api.x509Bundles(none), api.jwtBundles(none)]) assert.deepEqual({ ...(await first(stream)) }, bundles)
  })

  test('tokens, asked for by audience and SPIFFE ID', async (t) => {
    const { api, requests } = await startGrpc(t, { unary: (_request, reply) => reply(null, { svids: [jwt, {}] }) })
    assert.deepEqual(await api.jwtSvids(['x', 'y'], 'spiffe://example.org/web', none), [jwt, { spiffe_id: '', svid: '', hint: '' }])
    await api.jwtSvids(['x'], undefined, none)
    assert.deepEqual(requests, [
      { audience: ['x', 'y'], spiffe_id: 'spiffe://example.org/web' },
      { audience: ['x'], spiffe_id: '' },
    ])
  })

  test('the claims of a validated token as JSON, however deep', async (t) => {
    const claims = {
      sub: jwt.spiffe_id,
      aud: ['x', 'y'],
      exp: 2_000_000_000,
      fraction: 0.5,
      zero: 0,
      empty: '',
      yes: true,
      no: false,
      nothing: null,
      list: [1, 'a', false, null, [], [[2]], { deep: [{ er: null }] }],
      object: { a: {}, b: { c: { d: 'e' } } },
    }
    const { api, requests } = await startGrpc(t, { unary: (_request, reply) => reply(null, { spiffe_id: jwt.spiffe_id, claims: toStruct(claims) }) })
    assert.deepEqual(await api.validateJwtSvid('x', 'token', none), { spiffeId: jwt.spiffe_id, claims })
    assert.deepEqual(requests, [{ audience: 'x', svid: 'token' }])
  })

  test('no claims where there are none, and none that touch a prototype', async (t) => {
    const replies: object[] = [{ spiffe_id: 'a' }, { claims: {} }, { claims: toStruct(JSON.parse('{"__proto__":{"x":1},"b":2}')) }]
    const { api } = await startGrpc(t, { unary: (_request, reply) => reply(null, replies.shift()) })
    assert.deepEqual(await api.validateJwtSvid('x', 't', none), { spiffeId: 'a', claims: {} })
    assert.deepEqual(await api.validateJwtSvid('x', 't', none), { spiffeId: '', claims: {} })
    const { claims } = await api.validateJwtSvid('x', 't', none)
    assert.equal(claims['b'], 2)
    assert.equal(({} as Record<string, unknown>)['x'], undefined)
    assert.equal(Object.getPrototypeOf(claims), Object.prototype)
  })
})

describe('an end', () => {
  test('by our own signal is that signal’s reason, and leaves no connection', async (t) => {
    const agent = await startGrpc(t, { stream: (call) => call.write({}) })
    const controller = new AbortController()
    const reason = new Error('mine')
    const stream = agent.api.x509Contexts(controller.signal)
    await stream.next()
    const next = stream.next()
    controller.abort(reason)
    await assert.rejects(next, reason)
    await eventually('the connection is closed', () => agent.connections === 0)
    await assert.rejects(first(agent.api.x509Contexts(controller.signal)), reason)
    assert.equal(agent.calls.length, 1, 'nothing is sent after it')
  })

  test('of a unary call by our own signal likewise', async (t) => {
    const agent = await startGrpc(t, {})
    const controller = new AbortController()
    const reason = new Error('mine')
    const call = agent.api.jwtSvids(['x'], undefined, controller.signal)
    await eventually('the call arrives', () => agent.calls.length === 1)
    controller.abort(reason)
    await assert.rejects(call, reason)
    await eventually('the connection is closed', () => agent.connections === 0)
    await assert.rejects(agent.api.jwtSvids(['x'], undefined, controller.signal), reason)
    await assert.rejects(agent.api.validateJwtSvid('x', 't', controller.signal), reason)
    assert.equal(agent.calls.length, 1)
  })

  test('by whoever reads no further closes the connection', async (t) => {
    const agent = await startGrpc(t, { stream: (call) => call.write({}) })
    await first(agent.api.x509Contexts(none))
    await eventually('the connection is closed', () => agent.connections === 0)
  })

  test('with CANCELLED by the server is the server’s, not ours', async (t) => {
    const cancelled = { code: 1, details: 'Call cancelled' }
    const { api } = await startGrpc(t, { stream: (call) => call.emit('error', cancelled), unary: (_request, reply) => reply(cancelled) })
    const { signal } = new AbortController()
    for (const call of [first(api.x509Contexts(signal)), api.jwtSvids(['x'], undefined, signal)])
      assert.equal((await failureOf(call)).code, 'workload_api_unavailable')
  })

  test('by a server that is shut down hard is the server’s, whichever code that gives', async (t) => {
    const agent = await startGrpc(t, { stream: (call) => call.write({}) })
    const stream = agent.api.x509Contexts(none)
    await stream.next()
    const next = stream.next()
    await agent.stop()
    assert.equal((await failureOf(next)).code, 'workload_api_unavailable')
  })

  test('with OK is an end and no failure, after every message', async (t) => {
    const { api } = await startGrpc(t, {
      stream: (call) => {
        for (let count = 0; count < 50; count++) call.write({ bundles: { [`td${count}`]: Buffer.alloc(0) } })
        call.end()
      },
    })
    let messages = 0
    for await (const bundles of api.x509Bundles(none)) assert.deepEqual(Object.keys(bundles), [`td${messages++}`])
    assert.equal(messages, 50)
  })
})

test('each call dials anew, so that a new socket in the old place is found at once', async (t) => {
  const path = join(await temporaryFolder(t), 'agent.sock')
  const reply = (name: string) => ({ stream: (call: { write(m: object): void }) => call.write({ bundles: { [name]: Buffer.alloc(0) } }) })
  const old = await startGrpc(t, reply('old'), path)
  assert.deepEqual(Object.keys(await first(old.api.x509Bundles(none))), ['old'])
  await old.stop()
  assert.equal((await failureOf(first(old.api.x509Bundles(none)))).code, 'workload_api_unreachable')
  await startGrpc(t, reply('new'), path)
  assert.deepEqual(Object.keys(await first(old.api.x509Bundles(none))), ['new'])
})

test('a path that begins with two slashes is dialled as it is, if it is taken at all', async (t) => {
  const path = join(await temporaryFolder(t), 'agent.sock')
  await startGrpc(t, { stream: (call) => call.write({ bundles: { a: Buffer.alloc(0) } }) }, path)
  try {
    parseSocketAddress(`unix:///${path}`)
  } catch {
    return
  }
  assert.deepEqual(Object.keys(await first(connect(`unix:///${path}`).x509Bundles(none))), ['a'])
})
