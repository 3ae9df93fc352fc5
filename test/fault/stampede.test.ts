// A thousand clients at once: nobody is left without an answer, cold, while a refresh hangs, and beside connections that say nothing.
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { exchange, type Subject, withDaemon } from './support.ts'

const crowd = 1_000

/** Everybody asks at the same moment; statuses by count, and the longest wait. */
async function stampede({ ports, token }: Subject, count = crowd): Promise<{ counts: Record<string, number>; worstMs: number }> {
  const request = Buffer.from(`GET /v1/credentials HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: ${token}\r\nConnection: close\r\n\r\n`)
  const counts: Record<string, number> = {}
  let worstMs = 0
  await Promise.all(
    Array.from({ length: count }, async () => {
      const begun = performance.now()
      const answer = await exchange(ports['container'] ?? 0, request)
      worstMs = Math.max(worstMs, performance.now() - begun)
      const status = answer === 'hang' ? 'hang' : (/^HTTP\/1\.1 (\d+)/.exec(String(answer))?.[1] ?? 'closed')
      counts[status] = (counts[status] ?? 0) + 1
    }),
  )
  return { counts, worstMs }
}

/** Connections that are open and say nothing. */
async function idle({ ports }: Subject, count: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  // Not faster than a kernel takes them for no attack.
  for (let n = 0; n < count; n += 50)
    sockets.push(
      ...(await Promise.all(
        Array.from({ length: Math.min(50, count - n) }, () => {
          const socket = connect(ports['container'] ?? 0, '127.0.0.1')
          socket.on('error', () => {}).resume()
          return new Promise<Socket>((resolve) => socket.once('connect', () => resolve(socket)))
        }),
      )),
    )
  return sockets
}

test('cold, a thousand clients get 503 at once, and one exchange is made for all of them', { timeout: 60_000 }, (t) =>
  withDaemon(true, async (subject) => {
    const { counts, worstMs } = await stampede(subject)
    t.diagnostic(`cold: ${JSON.stringify(counts)}, the longest waited ${Math.round(worstMs)} ms`)
    assert.deepEqual(counts, { 503: crowd })
    assert.equal(subject.world.aws.requests.filter(({ action }) => action === 'CreateSession').length, 1)
  }),
)

test('while a refresh hangs, also beside a thousand idle connections, all get the last good credentials', { timeout: 60_000 }, (t) =>
  withDaemon(false, async (subject) => {
    subject.world.aws.setFault('hang')
    for (const beside of [0, crowd]) {
      const silent = await idle(subject, beside)
      const { counts, worstMs } = await stampede(subject)
      t.diagnostic(`beside ${beside} idle connections: ${JSON.stringify(counts)}, the longest waited ${Math.round(worstMs)} ms`)
      assert.deepEqual(counts, { 200: crowd })
      for (const socket of silent) socket.destroy()
    }
    assert.equal(subject.world.aws.requests.length, 1)
  }),
)

test('two thousand idle connections leave room for a new client', { timeout: 60_000 }, (t) =>
  withDaemon(false, async (subject) => {
    const silent = await idle(subject, 2_000)
    const { counts, worstMs } = await stampede(subject, 20)
    t.diagnostic(`beside 2,000: ${JSON.stringify(counts)}, the longest waited ${Math.round(worstMs)} ms`)
    assert.deepEqual(counts, { 200: 20 })
    await eventually('those who say nothing are sent away', () => silent.every((socket) => socket.destroyed || socket.readableEnded || socket.closed), 20_000)
    for (const socket of silent) socket.destroy()
    assert.ok(subject.alive())
  }),
)
