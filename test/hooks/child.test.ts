// The child beside the daemon: started by the first news, signalled by later ones, never two, restarted, and ended with us.
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { start } from '../../src/core/run.ts'
import { type ChildOptions, createChild } from '../../src/hooks/child.ts'
import { eventually } from '../support/eventually.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { failureOf, folder, lives, recorder, textOf } from './support.ts'

/** A shell that notes its start, each SIGHUP and its end by SIGTERM, and goes on until then. */
const server = (path: string, onTerm = 'exit 0') =>
  `trap 'printf H >> ${path}' HUP; trap 'printf T >> ${path}; ${onTerm}' TERM; printf S >> ${path}; while :; do sleep 0.01; done`

function setUp(t: TestContext, script: (path: string) => string, options: Partial<ChildOptions> = {}) {
  const { emit, events, of } = recorder()
  const clock = createFakeClock()
  const directory = mkdtempSync(join(tmpdir(), 'hooks-'))
  const path = join(directory, 'heard')
  const child = createChild({
    hook: '1',
    command: ['/bin/sh', '-c', script(path)],
    signal: 'SIGHUP',
    restart: true,
    stopMs: 5_000,
    clock,
    random: () => 0,
    emit,
    ...options,
  })
  const running = start(child.run)
  t.after(async () => {
    const stopped = running.stop()
    for (let over = false; !over; ) {
      void stopped.then(() => (over = true))
      await clock.advance(60_000)
    }
    await stopped
    rmSync(directory, { recursive: true })
    for (const { pid } of of('hook.child_started')) assert.ok(!lives(pid), `process ${pid} is an orphan`)
  })
  const news = () => child.action()
  const heard = (text: string) => eventually(`${text}, and not ${textOf(path)}`, () => textOf(path) === text)
  return { clock, running, events, of, path, news, heard, pids: () => of('hook.child_started').map(({ pid }) => pid) }
}

test('nothing is started before there is news', async (t) => {
  const { clock, events } = setUp(t, server)
  await clock.advance(3_600_000)
  assert.deepEqual(events, [])
})

test('the first news starts it, the next ones are signals to the same process', async (t) => {
  const { news, heard, pids } = setUp(t, server)
  await news()
  await heard('S')
  await news()
  await heard('SH')
  await news()
  await heard('SHH')
  assert.equal(pids().length, 1)
  assert.ok(pids().every(lives))
})

test('without a signal later news changes nothing', async (t) => {
  const { news, heard, pids, clock } = setUp(t, server, { signal: undefined })
  await news()
  await heard('S')
  await news()
  await clock.settle()
  await heard('S')
  assert.equal(pids().length, 1)
})

test('one that ends by itself is started again after 1 s, then 2 s, then 4 s, up to a minute, and never twice at once', async (t) => {
  const { news, events, of, clock, path } = setUp(t, (file) => `printf S >> ${file}; exit 3`)
  await news()
  const waits: number[] = []
  for (let n = 1; n <= 8; n++) {
    await eventually('it has ended', () => of('hook.child_ended').length === n && clock.sleeping === 1)
    assert.equal(of('hook.child_started').length, n)
    let waited = 0
    for (; of('hook.child_started').length === n; waited += 500) {
      await clock.advance(500)
      if (clock.sleeping === 0) await eventually('the next one', () => of('hook.child_started').length === n + 1)
    }
    waits.push(waited / 1000)
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60])
  assert.deepEqual([...new Set(of('hook.child_ended').map(({ how, expected }) => `${how} ${expected}`))], ['exit status 3 false'])
  await eventually('all have said so', () => textOf(path).length >= 8)
  assert.deepEqual(
    events.slice(0, 4).map(({ type }) => type),
    ['hook.child_started', 'hook.child_ended', 'hook.child_started', 'hook.child_ended'],
  )
})

test('one that lived for a while is started again at once, as it were', async (t) => {
  const { news, of, clock, pids } = setUp(t, server)
  await news()
  await clock.advance(10_000)
  process.kill(pids()[0] ?? 0, 'SIGKILL')
  await eventually('it has ended', () => of('hook.child_ended').length === 1 && clock.sleeping === 1)
  await clock.advance(1_000)
  await eventually('the next one', () => pids().length === 2)
  assert.equal(of('hook.child_ended')[0]?.how, 'killed by SIGKILL')
})

test('news while it waits to be started again starts it at once, and there are not two afterwards', async (t) => {
  const { news, heard, of, clock, pids } = setUp(t, server)
  await news()
  await heard('S')
  process.kill(pids()[0] ?? 0, 'SIGKILL')
  await eventually('it has ended', () => of('hook.child_ended').length === 1 && clock.sleeping === 1)
  await news()
  await heard('SS')
  await clock.advance(600_000)
  assert.equal(pids().length, 2)
  await news()
  await heard('SSH')
})

test('without restart the next news starts it again, and nothing else does', async (t) => {
  const { news, heard, of, clock, pids } = setUp(t, server, { restart: false })
  await news()
  await heard('S')
  process.kill(pids()[0] ?? 0, 'SIGKILL')
  await eventually('it has ended', () => of('hook.child_ended').length === 1)
  await clock.advance(3_600_000)
  assert.equal(pids().length, 1)
  await news()
  await heard('SS')
})

test('stopping asks with SIGTERM and waits for its end, which was expected', async (t) => {
  const { news, heard, of, running, pids } = setUp(t, server)
  await news()
  await heard('S')
  await running.stop()
  await heard('ST')
  assert.deepEqual(
    of('hook.child_ended').map(({ how, expected }) => [how, expected]),
    [['exit status 0', true]],
  )
  assert.ok(!pids().some(lives))
})

test('one that ignores SIGTERM is killed after stopMs, not before', async (t) => {
  const { news, heard, of, clock, running, pids } = setUp(t, (path) => server(path, ':'), { stopMs: 5_000 })
  await news()
  await heard('S')
  const stopped = running.stop()
  await heard('ST')
  await clock.advance(4_999)
  assert.ok(pids().every(lives))
  await clock.advance(1)
  await stopped
  assert.equal(of('hook.child_ended')[0]?.how, 'killed by SIGKILL')
  assert.ok(!pids().some(lives))
})

test('stopping while it waits to be started again starts nothing more', async (t) => {
  const { news, of, clock, running, pids } = setUp(t, () => 'exit 1')
  await news()
  await eventually('it has ended', () => of('hook.child_ended').length === 1 && clock.sleeping === 1)
  await running.stop()
  await clock.advance(600_000)
  assert.deepEqual([pids().length, clock.sleeping], [1, 0])
})

test('a command that is missing is a failure with its name, and news finds it once it is there', async (t) => {
  const command = join(folder(t), 'server')
  const { news, pids } = setUp(t, server, { command: [command] })
  assert.equal((await failureOf(news())).message, `${command}: there is no such command`)
  writeFileSync(command, '#!/bin/sh\nexec sleep 1000\n')
  chmodSync(command, 0o755)
  await news()
  assert.equal(pids().length, 1)
})

test('a command that is missing is tried again until it is there, without any news', async (t) => {
  const command = join(folder(t), 'server')
  const { news, of, clock, pids } = setUp(t, server, { command: [command] })
  await failureOf(news())
  for (let n = 1; n <= 3; n++) {
    await eventually(`it waits for attempt ${n}`, () => clock.sleeping === 1, 1_000)
    await clock.advance(60_000)
    await eventually(`failure ${n}`, () => of('hook.failed').length >= n)
    assert.equal(of('hook.failed')[0]?.failure.code, 'hook_failed')
  }
  writeFileSync(command, '#!/bin/sh\nexec sleep 1000\n')
  chmodSync(command, 0o755)
  await eventually('it waits', () => clock.sleeping === 1, 1_000)
  await clock.advance(60_000)
  await eventually('it lives', () => pids().length === 1)
})

test('a command that cannot be started by its own fault is a failure of the hook, also when it is started again', async (t) => {
  const directory = folder(t)
  const command = join(directory, 'dir/server')
  mkdirSync(join(directory, 'dir'))
  writeFileSync(command, '#!/bin/sh\nexit 1\n')
  chmodSync(command, 0o755)
  const { news, of, clock } = setUp(t, server, { command: [command] })
  await news()
  await eventually('it has ended', () => of('hook.child_ended').length === 1 && clock.sleeping === 1)
  rmSync(join(directory, 'dir'), { recursive: true })
  writeFileSync(join(directory, 'dir'), 'a file')
  assert.ok(!existsSync(command))
  await clock.advance(2_000)
  await eventually('the failure', () => of('hook.failed').length === 1)
  assert.equal(of('hook.failed')[0]?.failure.code, 'hook_failed')
  assert.equal((await failureOf(news())).code, 'hook_failed')
})

test('a burst of news at the start is one process', async (t) => {
  const { news, heard, pids, clock } = setUp(t, server, { signal: undefined })
  for (let n = 0; n < 20; n++) await news()
  await heard('S')
  await clock.advance(600_000)
  assert.equal(pids().length, 1)
})
