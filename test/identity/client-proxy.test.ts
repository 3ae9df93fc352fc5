// An agent at a TCP address is dialled directly: a proxy in between would read the keys.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failureOf, first, listen, startGrpc } from './grpc-agent.ts'

const variables = ['http_proxy', 'https_proxy', 'grpc_proxy', 'all_proxy'].flatMap((name) => [name, name.toUpperCase()])

test('variables that name a proxy are ignored', async (t) => {
  const proxy = await listen(t, (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'))
  let proxied = 0
  const trap = await listen(t, (socket) => {
    proxied++
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  })
  assert.notEqual(proxy.address, trap.address)
  const before = Object.fromEntries(variables.map((name) => [name, process.env[name]]))
  t.after(() => {
    for (const [name, value] of Object.entries(before))
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
  })
  for (const name of variables) process.env[name] = trap.address.replace('tcp:', 'http:')
  delete process.env['no_proxy']
  delete process.env['no_grpc_proxy']

  const svids = [{ spiffe_id: 'a', svid: 'b', hint: '' }]
  const agent = await startGrpc(t, { stream: (call) => call.write({ bundles: { a: Buffer.alloc(0) } }), unary: (_request, reply) => reply(null, { svids }) })
  assert.match(agent.address, /^tcp:\/\/127\.0\.0\.1:/)
  const { signal } = new AbortController()
  assert.deepEqual(Object.keys(await first(agent.api.x509Bundles(signal))), ['a'])
  assert.deepEqual(await agent.api.jwtSvids(['x'], undefined, signal), svids)
  await agent.stop()
  assert.equal((await failureOf(first(agent.api.x509Bundles(signal)))).code, 'workload_api_unreachable')
  assert.equal(proxied, 0)
})
