// Each way in which an agent cannot be talked to has its own code, its address in the sentence, and a remedy.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { isFailure } from '../../src/core/errors.ts'
import type { WorkloadApi } from '../../src/identity/workload-api/client.ts'
import { keepStream } from '../../src/identity/workload-api/stream.ts'
import { eventually } from '../support/eventually.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { connect, failureOf, first, listen, startGrpc, temporaryFolder } from './grpc-agent.ts'

const none = new AbortController().signal

/** Both kinds of call fail with this code, naming the address. */
async function fails(api: WorkloadApi, code: string, message: RegExp): Promise<void> {
  for (const call of [first(api.x509Contexts(none)), api.jwtSvids(['x'], undefined, none)]) {
    const failure = await failureOf(call)
    assert.ok(isFailure(failure), `not a Failure: ${failure.message}`)
    assert.deepEqual([failure.code, message.test(failure.message)], [code, true], failure.message)
    assert.ok(failure.message.includes(api.address.text), failure.message)
    assert.notEqual(failure.remedy, '')
  }
}
const socketIn = async (t: TestContext) => join(await temporaryFolder(t), 'agent.sock')

describe('a unix socket', () => {
  test('that is missing', async (t) => {
    await fails(connect(`unix://${await socketIn(t)}`), 'workload_api_unreachable', /no such file/)
  })

  test('in a folder that is missing', async (t) => {
    await fails(connect(`unix://${await socketIn(t)}/more/agent.sock`), 'workload_api_unreachable', /no such file/)
  })

  test('that a crashed agent left behind', async (t) => {
    const path = await socketIn(t)
    const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
    await once(spawn(process.execPath, ['-e', script]), 'exit')
    const api = connect(`unix://${path}`)
    await fails(api, 'workload_api_unreachable', /connection refused/)
    const { remedy } = await failureOf(first(api.x509Contexts(none)))
    assert.match(remedy ?? '', /running.*leaves its socket/)
  })

  test('that is a file, a folder or a link to nowhere', async (t) => {
    const path = await socketIn(t)
    await writeFile(path, '')
    await fails(connect(`unix://${path}`), 'workload_api_unreachable', /connection refused|not a socket/)
    await mkdir(`${path}.d`)
    await fails(connect(`unix://${path}.d`), 'workload_api_unreachable', /connection refused|not a socket/)
    await symlink('/nowhere/at/all', `${path}.link`)
    await fails(connect(`unix://${path}.link`), 'workload_api_unreachable', /no such file/)
  })

  const root = process.getuid?.() === 0 && 'root may open every socket; status.test.ts has the sentence'
  test('that may not be opened', { skip: root }, async (t) => {
    const path = await socketIn(t)
    await startGrpc(t, {}, path)
    await chmod(path, 0)
    await fails(connect(`unix://${path}`), 'workload_api_unreachable', /permission denied .*is 0000 of/)
  })
})

test('a TCP port that nobody listens at', async (t) => {
  const { address, stop } = await listen(t, () => {})
  await stop()
  await fails(connect(address), 'workload_api_unreachable', /connection refused/)
})

describe('a listener that is no agent', () => {
  const answers: Record<string, Buffer | string> = {
    'and closes at once': '',
    'and speaks HTTP/1': 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n',
    'and talks nonsense': Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 7919 + 13) & 0xff)),
    'and sends zeros': Buffer.alloc(4096),
    'and begins as HTTP/2 and then talks nonsense': Buffer.from('000000040000000000ffffffffffffffffffffffffffff', 'hex'),
  }
  for (const [what, answer] of Object.entries(answers))
    test(what, { timeout: 5_000 }, async (t) => {
      const { address } = await listen(t, (socket) => socket.end(answer), await socketIn(t))
      await fails(connect(address), 'workload_api_unavailable', /cannot serve/)
    })

  test('and talks nonsense without an end', { timeout: 5_000 }, async (t) => {
    const { address } = await listen(t, (socket) => socket.write(answers['and talks nonsense'] ?? ''))
    await fails(connect(address), 'workload_api_unavailable', /cannot serve/)
  })
})

describe('a listener that accepts and says nothing', () => {
  test('is told to be silent after 10 s, while the stream waits on', async (t) => {
    const clock = createFakeClock()
    const listener = await listen(t, (socket) => socket.resume(), await socketIn(t))
    const api = connect(listener.address, clock)
    const controller = new AbortController()
    const failed: string[] = []
    const kept = keepStream(
      { api, clock, random: Math.random },
      { open: api.x509Contexts, take: () => {}, rejected: () => {}, failed: ({ code }) => failed.push(code) },
    )
    const running = kept.run(controller.signal).catch(() => {})
    await eventually('it is dialled', () => listener.connections === 1)
    await clock.advance(9_999)
    assert.deepEqual(failed, [])
    await clock.advance(60_000)
    assert.deepEqual([failed, listener.connections], [['workload_api_silent'], 1])
    controller.abort()
    await running
    await eventually('the connection is closed', () => listener.connections === 0, 1_500)
    assert.equal(clock.sleeping, 0)
  })

  test('ends a unary call after 35 s, because signing may take 30', async (t) => {
    const clock = createFakeClock()
    const listener = await listen(t, (socket) => socket.resume(), await socketIn(t))
    const failure = failureOf(connect(listener.address, clock).jwtSvids(['x'], undefined, none))
    await eventually('it is dialled', () => listener.connections === 1)
    await clock.advance(34_999)
    assert.equal(listener.connections, 1)
    await clock.advance(1)
    assert.equal((await failure).code, 'workload_api_silent')
    await eventually('the connection is closed', () => listener.connections === 0, 1_500)
    assert.equal(clock.sleeping, 0)
  })

  test('ends a unary call sooner with its signal only', async (t) => {
    const clock = createFakeClock()
    const listener = await listen(t, (socket) => socket.resume(), await socketIn(t))
    const controller = new AbortController()
    const aborted = connect(listener.address, clock)
      .jwtSvids(['x'], undefined, controller.signal)
      .catch((error: unknown) => error)
    await eventually('it is dialled', () => listener.connections === 1)
    assert.equal(clock.sleeping, 1)
    controller.abort('mine')
    assert.equal(await aborted, 'mine')
    assert.equal(clock.sleeping, 0)
  })
})

describe('a message', () => {
  const bundle = (bytes: number) => ({ bundles: { a: Buffer.alloc(bytes) } })

  test('of 60 MiB is taken, and one above 64 MiB has a code of its own', async (t) => {
    const sizes = [60 << 20, 65 << 20]
    const { api } = await startGrpc(t, { stream: (call) => call.write(bundle(sizes.shift() ?? 0)) }, await socketIn(t))
    assert.equal((await first(api.x509Bundles(none)))['a']?.length, 60 << 20)
    const failure = await failureOf(first(api.x509Bundles(none)))
    assert.equal(failure.code, 'workload_api_too_large')
    assert.match(failure.message, /larger than 64 MiB/)
  })

  test('that the agent itself finds too large is not ours', async (t) => {
    const error = { code: 8, details: 'out of memory' }
    const { api } = await startGrpc(t, { stream: (call) => call.emit('error', error), unary: (_request, reply) => reply(error) })
    await fails(api, 'workload_api_unavailable', /out of resources: out of memory/)
  })
})

test('each status of the agent has its meaning, and its words are in the sentence', async (t) => {
  const meanings: Record<number, string> = { 3: 'workload_api_rejected', 7: 'identity_not_issued', 12: 'workload_api_unimplemented' }
  let error = { code: 0, details: '' }
  const { api } = await startGrpc(t, { stream: (call) => call.emit('error', error), unary: (_request, reply) => reply(error) })
  for (let code = 1; code <= 16; code++) {
    error = { code, details: `words of ${code}` }
    await fails(api, meanings[code] ?? 'workload_api_unavailable', new RegExp(`words of ${code}$`))
  }
})
