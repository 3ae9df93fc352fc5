// One call to a far service: whatever the other side does, it is over in time and said in a sentence.
import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { after, test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import { isFailure } from '../../src/core/errors.ts'
import { type Call, callHttps } from '../../src/core/https.ts'
import { createFakeClock } from '../support/fake-clock.ts'

const never = new AbortController().signal
const closers: (() => void)[] = []
after(() => {
  for (const close of closers) close()
})

async function serve(listener: RequestListener): Promise<URL> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/x`)
}

const post = (url: URL): Call => ({ url, method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'hällo' })
const fails = (code: string) => (error: unknown) => isFailure(error) && error.code === code

test('a reply comes back with status, headers, body, Date and when it was asked', async () => {
  const url = await serve((request, response) => {
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => response.writeHead(418, { 'x-a': 'b', date: 'Thu, 01 Jan 2026 00:00:00 GMT' }).end(body))
  })
  const before = systemClock.boot()
  const reply = await callHttps(post(url), systemClock, never)
  assert.equal(reply.status, 418)
  assert.equal(reply.headers['x-a'], 'b')
  assert.equal(reply.body.toString(), 'hällo')
  assert.equal(reply.date, Date.UTC(2026, 0, 1))
  assert.ok(reply.sentAt >= before && reply.sentAt <= systemClock.boot())
})

for (const [what, listener] of [
  ['that never answers', () => {}],
  ['that trickles its answer for ever', (_request, response) => void setInterval(() => response.write('.'), 20).unref()],
  ['that stops in the middle', (_request, response) => void response.writeHead(200, { 'content-length': '100' }).write('half')],
] satisfies [string, RequestListener][]) {
  test(`a service ${what} is given up after ten seconds`, async () => {
    const url = await serve(listener)
    const clock = createFakeClock()
    const call = callHttps(post(url), clock, never)
    call.catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 100))
    await clock.advance(9_900)
    assert.ok(clock.sleeping > 0, 'still waiting')
    await clock.advance(200)
    await assert.rejects(call, fails('timeout'))
    assert.equal(clock.sleeping, 0)
  })
}

test('a connection that does not come about is given up after three seconds', async () => {
  // A full backlog: connections beyond it hang in SYN.
  const server = createTcpServer(() => {})
  server.maxConnections = 0
  const url = new URL('https://127.0.0.1:1/')
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => server.close())
  url.port = String((server.address() as AddressInfo).port)
  const silent = createTcpServer(() => {}) // accepts and never speaks TLS
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  closers.push(() => silent.close())
  const clock = createFakeClock()
  const call = callHttps({ ...post(url), url: new URL(`https://127.0.0.1:${(silent.address() as AddressInfo).port}/`) }, clock, never)
  call.catch(() => {})
  await new Promise((resolve) => setTimeout(resolve, 100))
  await clock.advance(3_100)
  await assert.rejects(call, (error) => fails('timeout')(error) && /within 3 s/.test(String(error)))
})

test('refused connections, broken TLS, early ends and endless bodies are told apart', async () => {
  const gone = await serve(() => {})
  gone.port = '1'
  await assert.rejects(callHttps(post(gone), systemClock, never), fails('network'))
  const plain = await serve((_request, response) => response.end('plain'))
  await assert.rejects(callHttps(post(new URL(plain.href.replace('http:', 'https:'))), systemClock, never), fails('tls'))
  const rude = await serve((request) => request.socket.destroy())
  await assert.rejects(callHttps(post(rude), systemClock, never), fails('network'))
  const endless = await serve((_request, response) => response.end(Buffer.alloc((1 << 20) + 1)))
  await assert.rejects(callHttps(post(endless), systemClock, never), fails('reply_invalid'))
})

test("the signal's reason ends a call at once", async () => {
  const url = await serve(() => {})
  const controller = new AbortController()
  const call = callHttps(post(url), systemClock, controller.signal)
  setTimeout(() => controller.abort(new Error('stopping')), 30)
  await assert.rejects(call, /stopping/)
})
