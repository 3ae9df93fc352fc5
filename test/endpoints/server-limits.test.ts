// A listener under pressure: many connections, slow ones, and the end of the daemon while some are open.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { text } from '../../src/endpoints/guard.ts'
import { type ListenAt, listen } from '../../src/endpoints/server.ts'
import { eventually } from '../support/eventually.ts'
import { ask, type Conversation, hangUp, head, talk } from './support.ts'

const anyPort: ListenAt = { kind: 'tcp', host: '127.0.0.1', port: 0, loopbackOnly: true }
const stopMs = 1_000

describe('at the same time', { concurrency: true }, () => {
  test('a head that does not end within five seconds is closed, however steadily it drips', async (t) => {
    const open = await listen('test', anyPort, () => text(200, 'ok'))
    const drip = talk(open.port)
    drip.send('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n')
    const timer = setInterval(() => drip.closed || drip.send('X: y\r\n'), 200)
    t.after(() => {
      clearInterval(timer)
      drip.socket.destroy()
      return open.stop()
    })
    const lived = await drip.ended(7_500)
    assert.ok(lived > 4_000, `closed after ${lived} ms, which is no time for a slow client`)
  })

  test('keeps 2,048 connections, closes the ones above, and takes new ones when some have gone', async (t) => {
    // On a unix socket, since a thousand connections a second look like an attack to a kernel's TCP.
    const directory = await mkdtemp(join(tmpdir(), 'endpoint-'))
    const path = join(directory, 'a.sock')
    const open = await listen('test', { kind: 'unix', path, mode: 0o600 }, () => text(200, 'ok'))
    const conversations: Conversation[] = []
    t.after(async () => {
      for (const { socket } of conversations) socket.destroy()
      await open.stop()
      await rm(directory, { recursive: true })
    })
    for (let batch = 0; batch < 10; batch++) {
      const made = Array.from({ length: 205 }, () => talk(path))
      conversations.push(...made)
      await Promise.all(made.map(({ socket }) => once(socket, 'connect')))
      // Answered when all before it have been accepted: the kernel's queue is shorter than the limit.
      if (batch < 9) {
        made.at(-1)?.send(head('GET /'))
        await made.at(-1)?.answer()
      }
    }
    const closed = () => conversations.filter((one) => one.closed).length
    await eventually('two of the 2,050 are closed', () => closed() >= 2)
    assert.equal(closed(), 2)
    const [first, ...others] = conversations
    first?.send(head('GET /'))
    assert.equal((await first?.answer())?.body, 'ok', 'those that are in go on')
    for (const { socket } of others.slice(0, 10)) socket.destroy()
    await eventually('there is room again', async () => (await ask(path, head('GET /'))).status === 200)
    assert.equal(closed(), 12)
  })
})

const outcome = (stopped: Promise<void>): Promise<string> =>
  Promise.race([stopped.then(() => 'stopped'), new Promise<string>((resolve) => setTimeout(resolve, stopMs, 'still open after a second'))])

for (const [beside, prepare] of [
  [
    'a connection that is idle after an answer',
    async (conversation) => {
      conversation.send(head('GET /'))
      await conversation.answer()
    },
  ],
  ['a connection that has said nothing yet', async () => {}],
  ['a head that is half sent', async (conversation) => conversation.send('GET / HTT')],
  [
    'a body that does not come',
    async (conversation) => {
      conversation.send(head('GET /', { 'Content-Length': '10' }))
      await conversation.answer()
    },
  ],
] as readonly (readonly [string, (conversation: Conversation) => Promise<void>])[])
  test(`stops within the second that SIGTERM leaves beside ${beside}`, async (t) => {
    const open = await listen('test', anyPort, () => text(200, 'ok'))
    t.after(hangUp)
    const conversation = talk(open.port)
    await new Promise((resolve) => conversation.socket.once('connect', resolve))
    await prepare(conversation)
    await ask(open.port, head('GET /')) // answered after what the other one sent was read
    assert.equal(await outcome(open.stop()), 'stopped')
  })

test('an answer in flight is finished, and its connection is closed with it', async (t) => {
  let asked = (): void => {}
  let release = (): void => {}
  const arrived = new Promise<void>((resolve) => {
    asked = resolve
  })
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const open = await listen('test', anyPort, async () => {
    asked()
    await gate
    return text(200, 'whole')
  })
  t.after(hangUp)
  const conversation = talk(open.port)
  conversation.send(head('GET /'))
  await arrived
  const stopped = open.stop()
  await eventually('the door is closed', async () => (await ask(open.port, head('GET /'))).status === 0)
  release()
  assert.equal((await conversation.answer()).body, 'whole')
  assert.equal(await outcome(stopped), 'stopped')
})

test('a listener that has stopped takes no new connection', async () => {
  const open = await listen('test', anyPort, () => text(200, 'ok'))
  await open.stop()
  assert.equal((await ask(open.port, head('GET /'))).status, 0)
})
