// Signals by way of a pid file: who gets one, who must not, and for how long a file is waited for.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { closeSync, constants, mkdirSync, openSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { isFailure } from '../../src/core/errors.ts'
import { start } from '../../src/core/run.ts'
import { signalNumber } from '../../src/core/signals.ts'
import { createHook } from '../../src/hooks/hook.ts'
import { parsePid, sendSignal, signalPidFile } from '../../src/hooks/signal.ts'
import { eventually } from '../support/eventually.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { failureOf, folder, textOf } from './support.ts'

/** A process that notes each SIGHUP and SIGUSR1. */
async function listener(t: TestContext) {
  const path = join(folder(t), 'heard')
  const script = `trap 'printf H >> ${path}' HUP; trap 'printf 1 >> ${path}' USR1; printf r >> ${path}; while :; do sleep 0.01; done`
  const child = spawn('/bin/sh', ['-c', script], { stdio: 'ignore' })
  t.after(() => child.kill('SIGKILL'))
  await eventually('it listens', () => textOf(path) === 'r')
  return { pid: child.pid ?? 0, heard: () => textOf(path).slice(1), child }
}

function setUp(t: TestContext, signal = 'SIGHUP') {
  const clock = createFakeClock()
  const stop = new AbortController()
  t.after(() => stop.abort(new Error('over')))
  const path = join(folder(t), 'pid')
  const action = signalPidFile(path, signal, clock)
  /** Lets it try `times` times more, and the first time is over. */
  const tries = async (times: number) => {
    for (let attempt = 0; attempt < times; attempt++) {
      await eventually('it waits', () => clock.sleeping === 1)
      await clock.advance(100 * 2 ** attempt)
    }
  }
  return { clock, stop, path, action, run: () => action(stop.signal), tries }
}

/** Frees the thread that waits for the other end of a pipe, if one does. */
function release(path: string): void {
  if (statSync(path).isFIFO()) closeSync(openSync(path, constants.O_RDWR | constants.O_NONBLOCK))
}

test('the process whose number is in the file gets the signal, which is read each time', async (t) => {
  const [one, two] = [await listener(t), await listener(t)]
  const { path, run } = setUp(t)
  writeFileSync(path, `${one.pid}`)
  await run()
  await eventually('the first', () => one.heard() === 'H')
  writeFileSync(path, `  ${two.pid}\n`)
  await run()
  await eventually('the second', () => two.heard() === 'H')
  assert.equal(one.heard(), 'H')
})

test('of two hooks on one file each sends its own signal', async (t) => {
  const { pid, heard } = await listener(t)
  const { path, run } = setUp(t)
  writeFileSync(path, String(pid))
  await run()
  await eventually('H', () => heard() === 'H')
  await signalPidFile(path, 'SIGUSR1', createFakeClock())(new AbortController().signal)
  await eventually('1', () => heard() === 'H1')
})

test('a file that comes later, or says something else later, is waited for', async (t) => {
  const { pid, heard } = await listener(t)
  const { path, run, clock } = setUp(t)
  const work = run()
  await eventually('it waits', () => clock.sleeping === 1)
  writeFileSync(path, 'starting…')
  await clock.advance(100)
  await eventually('it waits again', () => clock.sleeping === 1)
  writeFileSync(path, String(pid))
  await clock.advance(200)
  await work
  await eventually('the signal', () => heard() === 'H')
})

test('it gives up after ten tries in 51 s, with the path and the reason', async (t) => {
  const { path, run, tries, clock } = setUp(t)
  const begun = clock.boot()
  const work = run()
  work.catch(() => {})
  await tries(8)
  await eventually('it waits for the last time', () => clock.sleeping === 1)
  await clock.advance(25_600)
  assert.equal(clock.boot() - begun, 51_100)
  const { code, message } = await failureOf(work)
  assert.equal(code, 'hook_failed')
  assert.ok(message.includes(path) && message.includes('no such file'), message)
})

test('stopping ends the wait at once', async (t) => {
  const { stop, clock, run } = setUp(t)
  const work = run()
  await eventually('it waits', () => clock.sleeping === 1)
  const reason = new Error('stop')
  stop.abort(reason)
  await assert.rejects(work, reason)
  assert.equal(clock.sleeping, 0)
})

test('a process that has ended, and a path that is a directory, are failures', async (t) => {
  const { pid, child } = await listener(t)
  child.kill('SIGKILL')
  await new Promise((resolve) => child.once('exit', resolve))
  assert.throws(
    () => sendSignal(pid, 'SIGHUP'),
    (error) => isFailure(error) && error.code === 'hook_failed' && /no such process/.test(error.message),
  )
  const { path, run, tries } = setUp(t)
  mkdirSync(path)
  const work = run()
  work.catch(() => {})
  await tries(9)
  assert.match((await failureOf(work)).message, /directory/)
})

for (const [what, make] of [
  ['a pipe that nobody writes to', (path: string) => spawnSync('/bin/sh', ['-c', 'mkfifo "$0"', path])],
  ['a link to a device without an end', (path: string) => symlinkSync('/dev/zero', path)],
  ['a file of more than 4 KiB', (path: string) => writeFileSync(path, '4194303'.padEnd(4_097))],
] as const) {
  test(`${what} is a failure with a reason, tried like any other`, async (t) => {
    const { path, run, tries } = setUp(t)
    make(path)
    try {
      const failed = failureOf(run())
      failed.catch(() => {})
      await tries(9)
      const { code, message } = await failed
      assert.equal(code, 'hook_failed')
      assert.ok(message.includes(path) && message.includes('no short plain file'), message)
    } finally {
      release(path)
    }
  })

  test(`${what} holds up nobody who stops`, async (t) => {
    const { path, action, clock } = setUp(t)
    make(path)
    try {
      const running = start(createHook({ name: '1', on: ['x509'], due: true, action, emit: () => {} }).run)
      // Whatever it does now, it does in the system.
      await clock.settle()
      let stopped = false
      void running.stop().then(() => (stopped = true))
      await eventually('it has stopped', () => stopped)
    } finally {
      release(path)
    }
  })
}

test('a number with blanks up to 4 KiB is a number', async (t) => {
  const { pid, heard } = await listener(t)
  const { path, run } = setUp(t)
  writeFileSync(path, String(pid).padEnd(4_096))
  run().catch(() => {})
  await eventually('the signal', () => heard() === 'H')
})

test('zero, one and negative numbers are refused at once: they are a group, init or everybody', async (t) => {
  for (const text of ['0', '1', '-1', '-7', '+1', '00', '-0', ' 1\n', '+000001']) {
    assert.throws(
      () => parsePid(text, '/p'),
      (error) => isFailure(error) && error.retry === 'never' && /not one process/.test(error.message),
      text,
    )
    const { path, run } = setUp(t)
    writeFileSync(path, text)
    assert.equal((await failureOf(run())).code, 'hook_failed')
  }
})

test('a text that is no number, or one that no process can have, is a failure that shows no more than its beginning', () => {
  for (const text of ['', ' ', 'abc', '12 13', '12\n13', '0x10', '1e3', '12.0', '１２', '--2', '2-', '9'.repeat(30), 'NaN', 'Infinity', '12\0'])
    assert.throws(
      () => parsePid(text, '/p'),
      (error) => isFailure(error) && /failed to parse pid file "\/p"/.test(error.message),
      JSON.stringify(text),
    )
  assert.throws(
    () => parsePid('s'.repeat(1_000_000), '/p'),
    (error) => isFailure(error) && error.message.length < 200,
  )
  for (const [text, pid] of [
    ['2', 2],
    ['+12', 12],
    ['0012\r\n', 12],
    ['\t4194304 ', 4_194_304],
  ] as const)
    assert.equal(parsePid(text, '/p'), pid)
  for (const pid of [2 ** 32 + 2, 2 ** 31, Number.MAX_SAFE_INTEGER])
    assert.throws(
      () => sendSignal(pid, 'SIGHUP'),
      (error) => isFailure(error) && error.code === 'hook_failed',
      String(pid),
    )
})

test('a signal that does not exist is refused at once, and names are whole and in capitals', async (t) => {
  for (const name of ['HUP', 'sighup', 'SIGFOO', '', '1', 'SIGHUP ', 'toString', '__proto__', 'SIGINFO', 'SIGIOT']) {
    assert.equal(signalNumber(name), undefined, name)
    const { path, run } = setUp(t, name)
    writeFileSync(path, String(process.pid))
    const { code, retry } = await failureOf(run())
    assert.deepEqual([code, retry], ['hook_failed', 'never'])
  }
  for (const [name, number] of [
    ['SIGHUP', 1],
    ['SIGUSR1', 10],
    ['SIGUSR2', 12],
    ['SIGTERM', 15],
    ['SIGWINCH', 28],
  ] as const)
    if (process.platform === 'linux') assert.equal(signalNumber(name), number)
})
