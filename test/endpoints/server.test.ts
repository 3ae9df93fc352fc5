// One listener over raw sockets: what it takes, what it refuses, and what nothing that is sent to it can do.
import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { type TestContext, test } from 'node:test'
import { text } from '../../src/endpoints/guard.ts'
import { type Handler, type ListenAt, listen, type Request } from '../../src/endpoints/server.ts'
import { ask, hangUp, head, talk } from './support.ts'

const anyPort: ListenAt = { kind: 'tcp', host: '127.0.0.1', port: 0, loopbackOnly: true }

async function listener(t: TestContext, handler: Handler, at: ListenAt = anyPort): Promise<number> {
  const open = await listen('test', at, handler)
  t.after(() => {
    hangUp()
    return open.stop()
  })
  return open.port
}

const echo: Handler = ({ path }) => text(200, path)

test('a handler that throws is a 500 without a body, and the next request is served', async (t) => {
  const thrown: Record<string, () => never> = {
    '/sync': () => {
      throw new Error('AKIASECRET')
    },
    '/text': () => {
      throw 'AKIASECRET' as unknown as Error
    },
    '/undefined': () => {
      throw undefined as unknown as Error
    },
  }
  const port = await listener(t, (request) => {
    if (request.path === '/rejects') return Promise.reject(new Error('AKIASECRET'))
    return thrown[request.path]?.() ?? text(200, 'alive')
  })
  for (const path of [...Object.keys(thrown), '/rejects']) {
    const answer = await ask(port, head(`GET ${path}`))
    assert.deepEqual([path, answer.status, answer.body], [path, 500, ''])
  }
  assert.equal((await ask(port, head('GET /'))).body, 'alive')
})

test('says that an idle connection lives for 75 seconds, and that nothing is to be stored', async (t) => {
  const { headers } = await ask(await listener(t, echo), head('GET /'))
  assert.equal(headers['keep-alive'], 'timeout=75')
  assert.equal(headers['cache-control'], 'no-store')
})

test('hands the path over as it came, neither decoded nor normalised', async (t) => {
  const port = await listener(t, echo)
  for (const path of ['//latest', '/a/../b', '/%2e%2e/a', '/a%2fb', '/a;b', '/A', '/a/', 'http://evil/a', '/a#b'])
    assert.equal((await ask(port, head(`GET ${path}`))).body, path)
})

test('even a path that cannot be decoded is the handler’s to refuse', async (t) => {
  const port = await listener(t, () => text(404, ''))
  for (const path of ['/%zz', '/%', '/%c3%28', '/a%2']) {
    const { status, body } = await ask(port, head(`GET ${path}`, { Host: 'evil.example' }))
    assert.deepEqual([path, status, body], [path, 404, ''])
  }
})

test('the query is cut off the path, and a second question mark belongs to it', async (t) => {
  let seen: Request | undefined
  const port = await listener(t, (request) => {
    seen = request
    return text(200, '')
  })
  await ask(port, head('GET /v1/jwt?audience=a?b&c=%zz'))
  assert.deepEqual([seen?.path, seen?.query], ['/v1/jwt', 'audience=a?b&c=%zz'])
})

test('a request line or a header of more than 8 KiB is refused and its connection closed; a long one passes', async (t) => {
  const port = await listener(t, (request) => text(200, String(request.path.length)))
  assert.equal((await ask(port, head(`GET /${'a'.repeat(7_000)}`))).status, 200)
  for (const bytes of [
    head(`GET /${'a'.repeat(9_000)}`),
    head('GET /', { X: 'a'.repeat(9_000) }),
    `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n${'a: b\r\n'.repeat(2_000)}\r\n`,
    `GET /${'a'.repeat(100_000)}`,
  ]) {
    const conversation = talk(port)
    conversation.send(bytes)
    await conversation.ended(2_000)
    assert.equal((await conversation.answer()).status, 431)
  }
})

for (const [what, headers, body] of [
  ['with a length', { 'Content-Length': '5' }, 'hello'],
  ['announced and never sent', { 'Content-Length': '500000' }, ''],
  ['in chunks', { 'Transfer-Encoding': 'chunked' }, '5\r\nhello\r\n0\r\n\r\n'],
  ['in chunks that do not end', { 'Transfer-Encoding': 'chunked' }, '5\r\nhel'],
] as const)
  test(`a body ${what} is told to the handler and ends the connection`, async (t) => {
    let seen: Request | undefined
    const port = await listener(t, (request) => {
      seen = request
      return text(413, '')
    })
    const conversation = talk(port)
    conversation.send(head('GET /', headers) + body)
    assert.equal((await conversation.answer()).status, 413)
    assert.equal(seen?.hasBody, true)
    await conversation.ended(1_000)
  })

test('a Content-Type that is none does not make a server error of a request', async (t) => {
  const port = await listener(t, echo)
  for (const line of ['PUT /token', 'POST /reload', 'DELETE /'])
    for (const type of ['@@@', 'text', '', 'application/json; charset=utf-8; x'])
      assert.equal((await ask(port, head(line, { 'Content-Type': type, 'Content-Length': '0' }))).status, 200, type)
})

const garbage = [
  '\x16\x03\x01\x02\x00\x01\x00\x01',
  head('FOO /'),
  head('GET /a\0b'),
  'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nBad Header: x\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n folded: x\r\n\r\n',
  head('POST /', { 'Content-Length': '5', 'Transfer-Encoding': 'chunked' }),
  head('POST /', { 'Content-Length': '-1' }),
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  head('CONNECT evil.example:80'),
]

test('what is not HTTP is refused, its connection closed, and no handler hears of it', async (t) => {
  let calls = 0
  const port = await listener(t, () => {
    calls++
    return text(200, '')
  })
  for (const bytes of garbage) {
    const conversation = talk(port)
    conversation.send(bytes)
    await conversation.ended(2_000)
    const { status } = await conversation.answer()
    assert.ok([0, 400].includes(status), `${bytes}: ${status}`)
  }
  assert.equal(calls, 0)
})

test('a refusal by the parser has no body: some SDKs take the text of an error for a role’s name', async (t) => {
  const port = await listener(t, echo)
  for (const bytes of [...garbage, head(`GET /${'a'.repeat(9_000)}`)]) assert.equal((await ask(port, bytes)).body, '', bytes.slice(0, 80))
})

test('a request without a Host is a 400', async (t) => {
  assert.equal((await ask(await listener(t, echo), 'GET / HTTP/1.1\r\n\r\n')).status, 400)
})

test('a request with two Hosts is a 400, since nobody knows which one is meant (RFC 9112, section 3.2)', async (t) => {
  const port = await listener(t, echo)
  assert.equal((await ask(port, 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n')).status, 400)
})

test('HTTP/1.0 is answered and closed', async (t) => {
  const conversation = talk(await listener(t, echo))
  conversation.send('GET /old HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n')
  await conversation.ended(2_000)
  assert.equal((await conversation.answer()).body, '/old')
})

test('pipelined requests are answered in their order, also when a later one is ready first', async (t) => {
  let release = (): void => {}
  const slow = new Promise<void>((resolve) => {
    release = resolve
  })
  const port = await listener(t, async ({ path }) => {
    if (path === '/1') await slow
    else release()
    return text(200, path)
  })
  const conversation = talk(port)
  conversation.send(['/1', '/2', '/3'].map((path) => head(`GET ${path}`)).join(''))
  const bodies = []
  for (let index = 0; index < 3; index++) bodies.push((await conversation.answer()).body)
  assert.deepEqual(bodies, ['/1', '/2', '/3'])
})

test('a HEAD has the headers of its answer and no body', async (t) => {
  const conversation = talk(await listener(t, echo))
  conversation.send(head('HEAD /abc'))
  const { status, headers } = await conversation.answer()
  assert.deepEqual([status, headers['content-length']], [200, '4'])
  conversation.send(head('GET /next'))
  assert.equal((await conversation.answer()).body, '/next')
})

test('an open connection gets the new handler after a reload', async (t) => {
  const open = await listen('test', anyPort, () => text(200, 'old'))
  t.after(() => {
    hangUp()
    return open.stop()
  })
  const conversation = talk(open.port)
  conversation.send(head('GET /'))
  assert.equal((await conversation.answer()).body, 'old')
  await open.change(() => text(200, 'new'), anyPort)
  conversation.send(head('GET /'))
  assert.equal((await conversation.answer()).body, 'new')
})

test('a peer that is not on loopback is dropped before it is heard', async (t) => {
  const address = Object.values(networkInterfaces())
    .flatMap((one) => one ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address
  if (address === undefined) return t.skip('this machine has no address but loopback')
  const port = await listener(t, echo, { ...anyPort, host: '0.0.0.0' })
  const stranger = talk(port, address)
  stranger.send(head('GET /'))
  await stranger.ended(2_000)
  assert.equal((await stranger.answer()).status, 0)
  assert.equal((await ask(port, head('GET /'))).status, 200)
})
