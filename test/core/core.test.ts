// The floor: clock, source, run, backoff, secret, events, atomic files.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { tmpdir, uptime } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { writeFileAtomic } from '../../src/core/atomic-file.ts'
import { fullJitter, steady } from '../../src/core/backoff.ts'
import { systemClock } from '../../src/core/clock.ts'
import { failure, isFailure, sentence, toFailure } from '../../src/core/errors.ts'
import { createEvents } from '../../src/core/events.ts'
import { failures } from '../../src/core/failures.ts'
import { run } from '../../src/core/run.ts'
import { secret } from '../../src/core/secret.ts'
import { createCell, nextWithin } from '../../src/core/source.ts'
import { createFakeClock } from '../support/fake-clock.ts'

const never = new AbortController().signal

test('the system clock sleeps by the boot clock and wakes with the reason of the signal', async () => {
  const before = systemClock.boot()
  await systemClock.sleep(30, never)
  assert.ok(systemClock.boot() - before >= 20, 'slept at least the time, within the resolution of the boot clock')
  const controller = new AbortController()
  const sleeping = systemClock.sleep(60_000, controller.signal)
  controller.abort(new Error('enough'))
  await assert.rejects(sleeping, /enough/)
  await assert.rejects(systemClock.sleep(1, controller.signal), /enough/)
})

test('the boot clock is the one of the machine, measures less than a millisecond, and never goes back', () => {
  const begun = systemClock.boot()
  let last = begun
  let finest = Number.POSITIVE_INFINITY
  while (last - begun < 30) {
    const now = systemClock.boot()
    assert.ok(now >= last)
    if (now > last) finest = Math.min(finest, now - last)
    last = now
  }
  assert.ok(finest < 1, `${finest} ms`)
  assert.ok(Math.abs(systemClock.boot() - uptime() * 1000) <= 40)
})

test('a source gives the newest value, queues none, and wakes nobody for the same one', async () => {
  const cell = createCell(1)
  const waiting = cell.next(1, never)
  cell.set(2)
  cell.set(3)
  assert.equal(await waiting, 3)
  assert.equal(await cell.next(1, never), 3, 'what was missed is seen at once')
  let woken = false
  const same = cell.next(3, never).then(() => (woken = true))
  cell.set(3)
  await createFakeClock().settle()
  assert.equal(woken, false)
  cell.set(4)
  await same
})

test('waiting for a source ends with the signal and leaves no listener', async () => {
  const cell = createCell('a')
  const controller = new AbortController()
  const waiting = cell.next('a', controller.signal)
  controller.abort(new Error('stop'))
  await assert.rejects(waiting, /stop/)
})

test('nextWithin ends with the change or with the time, whichever comes first', async () => {
  const clock = createFakeClock()
  const cell = createCell(0)
  const late = nextWithin(cell, 0, 1_000, clock, never)
  await clock.advance(1_000)
  assert.equal(await late, 0)
  const early = nextWithin(cell, 0, 1_000, clock, never)
  await clock.settle()
  cell.set(1)
  assert.equal(await early, 1)
  await clock.settle()
  assert.equal(clock.sleeping, 0, 'no timer stays behind')
})

test('tasks are stopped in reverse order by the first failure, which is thrown', async () => {
  const order: string[] = []
  const task = (name: string) => async (signal: AbortSignal) => {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    order.push(name)
    signal.throwIfAborted()
  }
  await assert.rejects(run([task('a'), task('b'), async () => Promise.reject(new Error('broken'))], never), /broken/)
  assert.deepEqual(order, ['b', 'a'])
})

test('tasks end quietly with the signal, and when all have returned', async () => {
  const controller = new AbortController()
  const running = run([(signal) => systemClock.sleep(60_000, signal)], controller.signal)
  controller.abort()
  await running
  await run([async () => {}, async () => {}], never)
})

test('backoff stays within its bounds for every attempt', () => {
  for (let attempt = 0; attempt < 2_000; attempt++) {
    const step = Math.min(60_000, 1_000 * 2 ** Math.min(attempt, 30))
    assert.equal(
      fullJitter({ baseMs: 1_000, capMs: 60_000 }, attempt, () => 0),
      0,
    )
    assert.ok(fullJitter({ baseMs: 1_000, capMs: 60_000 }, attempt, () => 0.999) < step)
    assert.equal(
      steady({ baseMs: 50, capMs: 250 }, attempt, () => 0),
      Math.min(250, 50 * 2 ** Math.min(attempt, 30)),
    )
    assert.ok(steady({ baseMs: 50, capMs: 250 }, attempt, () => 0.999) < 312.5)
  }
})

test('a secret prints as [redacted] wherever it is printed', () => {
  const hidden = secret('hunter2')
  for (const shown of [
    String(hidden),
    ['', hidden].join(''),
    JSON.stringify({ hidden }),
    inspect(hidden),
    inspect({ deep: { hidden } }, { depth: 9, showHidden: true }),
  ]) {
    assert.ok(!shown.includes('hunter2'), shown)
    assert.match(shown, /redacted/)
  }
  assert.equal(hidden.reveal(), 'hunter2')
})

test('a failure knows its code, remedy and retry; anything else becomes internal with its text', () => {
  const known = failure('network', 'cannot reach x', { facts: { role_arn: 'r' } })
  assert.ok(isFailure(known))
  assert.equal(known.retry, 'soon')
  assert.equal(toFailure(known), known)
  assert.ok(!isFailure(Object.assign(new Error('x'), { code: 'ECONNREFUSED' })))
  const wrapped = toFailure(new Error('boom'))
  assert.equal(wrapped.code, 'internal')
  assert.equal(wrapped.message, 'boom')
  assert.equal(sentence({ message: 'it broke', remedy: 'Mend it.' }), 'it broke. Mend it.')
})

test('every failure of the table has a meaning and a remedy that are sentences', () => {
  for (const [code, { meaning, remedy, retry }] of Object.entries(failures)) {
    assert.match(meaning, /^[A-Z].*\.$/, code)
    assert.match(remedy, /^\S.*[.?]$/, code)
    assert.ok(['now', 'soon', 'slow', 'never'].includes(retry))
  }
})

test('an event listener that throws stops no other', () => {
  const events = createEvents()
  const seen: string[] = []
  const warnings: unknown[] = []
  const emitWarning = process.emitWarning
  process.emitWarning = ((warning: unknown) => warnings.push(warning)) as typeof process.emitWarning
  try {
    events.subscribe(() => {
      throw new Error('a listener is broken')
    })
    const leave = events.subscribe((event) => seen.push(event.type))
    events.emit({ type: 'daemon.listening' })
    leave()
    events.emit({ type: 'daemon.stopped' })
  } finally {
    process.emitWarning = emitWarning
  }
  assert.deepEqual(seen, ['daemon.listening'])
  assert.equal(warnings.length, 2)
})

test('a file is replaced as a whole, with its mode, and nothing else stays in the folder', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'svidecar-test-'))
  const path = join(folder, 'token')
  await writeFileAtomic(path, 'one', { mode: 0o440 })
  await writeFileAtomic(path, 'two', { mode: 0o400 })
  assert.equal(readFileSync(path, 'utf8'), 'two')
  assert.equal(statSync(path).mode & 0o777, 0o400)
  await assert.rejects(writeFileAtomic(join(folder, 'missing', 'x'), 'y', { mode: 0o600 }), { code: 'ENOENT' })
  await assert.rejects(writeFileAtomic(folder, 'y', { mode: 0o600 }))
  assert.deepEqual(readdirSync(folder), ['token'])
})
