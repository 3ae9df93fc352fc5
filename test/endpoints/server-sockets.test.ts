// Where a listener may be opened: whose place it takes, whose it leaves alone, and with which rights.
import assert from 'node:assert/strict'
import { linkSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { text } from '../../src/endpoints/guard.ts'
import { type Handler, type ListenAt, listen } from '../../src/endpoints/server.ts'
import { eventually } from '../support/eventually.ts'
import { ask, hangUp, head, talk } from './support.ts'

const ok: Handler = () => text(200, 'ok')
const at = (path: string, mode = 0o600): ListenAt => ({ kind: 'unix', path, mode })

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'endpoint-'))
  t.after(() => rm(made, { recursive: true, force: true }))
  return made
}

/** A socket file that nobody listens on any more. */
async function staleSocket(path: string): Promise<void> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(`${path}.old`, resolve))
  linkSync(`${path}.old`, path)
  await new Promise((resolve) => server.close(resolve))
}

const refused = async (listening: Promise<unknown>, what: RegExp): Promise<void> =>
  assert.rejects(listening, (error: Error & { code?: string }) => {
    assert.equal(error.code, 'listen_failed')
    assert.match(error.message, what)
    return true
  })

test('takes the place of a socket that a dead process left behind', async (t) => {
  const path = join(await folder(t), 'a.sock')
  await staleSocket(path)
  const open = await listen('test', at(path), ok)
  t.after(() => open.stop())
  assert.equal((await ask(path, head('GET /'))).status, 200)
})

test('leaves a regular file, a folder and a link in its place alone, and says what is there', async (t) => {
  const made = await folder(t)
  writeFileSync(join(made, 'file'), 'precious')
  mkdirSync(join(made, 'folder'))
  await staleSocket(join(made, 'socket'))
  symlinkSync(join(made, 'socket'), join(made, 'link'))
  for (const name of ['file', 'folder', 'link'])
    await refused(listen('test', at(join(made, name)), ok), new RegExp(`cannot listen on .*/${name} for test: .*not a socket`))
  assert.equal(readFileSync(join(made, 'file'), 'utf8'), 'precious')
  assert.deepEqual(readdirSync(made), ['file', 'folder', 'link', 'socket'])
})

test('does not take the socket of a living listener, which goes on', async (t) => {
  const path = join(await folder(t), 'a.sock')
  const first = await listen('first', at(path), ok)
  t.after(() => first.stop())
  await refused(listen('second', at(path), ok), /a\.sock for second: something else is listening there/)
  assert.equal((await ask(path, head('GET /'))).status, 200)
})

test('does not take the socket of a listener that is too busy to accept', async (t) => {
  const path = join(await folder(t), 'a.sock')
  // It listens with room for one and then does not look: a stopped process, or one that is out of breath.
  const code = `const { workerData } = require('node:worker_threads')
    require('node:net').createServer().listen({ path: workerData.path, backlog: 1 }, () => {
      Atomics.store(workerData.state, 0, 1)
      Atomics.wait(workerData.state, 0, 1, 8000)
    })`
  const state = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(code, { eval: true, workerData: { path, state } })
  t.after(async () => {
    hangUp()
    await worker.terminate()
  })
  await eventually('it listens', () => Atomics.load(state, 0) === 1)
  const waiting = Array.from({ length: 4 }, () => talk(path))
  await eventually('its queue is full', () => waiting.some(({ closed }) => closed))
  const attempt = listen('second', at(path), ok)
  attempt.then((open) => open.stop()).catch(() => {})
  await refused(attempt, /something else is listening there/)
  assert.ok(statSync(path).isSocket())
})

test('gives the socket its mode, whatever the umask is, and again at a reload', async (t) => {
  const path = join(await folder(t), 'a.sock')
  const umask = process.umask(0o077)
  t.after(() => process.umask(umask))
  const open = await listen('test', at(path, 0o660), ok)
  t.after(() => open.stop())
  assert.equal(statSync(path).mode & 0o777, 0o660)
  await open.change(ok, at(path, 0o600))
  assert.equal(statSync(path).mode & 0o777, 0o600)
})

test('gives the socket its group', async (t) => {
  const path = join(await folder(t), 'a.sock')
  const gid = process.getgroups?.().at(-1) ?? process.getgid?.() ?? 0
  const open = await listen('test', { kind: 'unix', path, mode: 0o660, gid }, ok)
  t.after(() => open.stop())
  assert.equal(statSync(path).gid, gid)
})

test('removes its socket when it stops', async (t) => {
  const made = await folder(t)
  const open = await listen('test', at(join(made, 'a.sock')), ok)
  await open.stop()
  assert.deepEqual(readdirSync(made), [])
})

test('says that a path is longer than a socket’s name may be, and makes no file of a shorter name', async (t) => {
  const made = await folder(t)
  await refused(listen('test', at(join(made, 'a'.repeat(110))), ok), /cannot listen on .*aaaa for test: .*long/)
  assert.deepEqual(readdirSync(made), [])
})

test('says which port is in use, for whom, and what to do', async (t) => {
  const tcp: ListenAt = { kind: 'tcp', host: '127.0.0.1', port: 0, loopbackOnly: true }
  const first = await listen('first', tcp, ok)
  t.after(() => first.stop())
  assert.equal(first.address, `127.0.0.1:${first.port}`)
  await assert.rejects(listen('metrics', { ...tcp, port: first.port }, ok), {
    code: 'listen_failed',
    message: `cannot listen on 127.0.0.1:${first.port} for metrics: something else is listening there`,
    remedy: 'Free the port or choose another one.',
  })
  assert.equal((await ask(first.port, head('GET /'))).status, 200)
})

test('spells an IPv6 address with brackets', async (t) => {
  let open: Awaited<ReturnType<typeof listen>>
  try {
    open = await listen('test', { kind: 'tcp', host: '::1', port: 0, loopbackOnly: true }, ok)
  } catch {
    return t.skip('this machine has no IPv6')
  }
  t.after(() => open.stop())
  assert.equal(open.address, `[::1]:${open.port}`)
  const conversation = talk(open.port, '::1')
  t.after(() => conversation.socket.destroy())
  conversation.send(head('GET /', { Host: `[::1]:${open.port}` }))
  assert.equal((await conversation.answer()).status, 200)
})
