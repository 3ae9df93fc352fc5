// Who is told of what: one run at a time, one more for all that came meanwhile, and no end by a failure.
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { failure } from '../../src/core/errors.ts'
import type { Event } from '../../src/core/events.ts'
import { start } from '../../src/core/run.ts'
import { createHook, type Trigger } from '../../src/hooks/hook.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { recorder } from './support.ts'

const written = (kind: 'x509' | 'jwt' | 'jwt_bundle'): Event => ({ type: 'output.written', output: `${kind} /f`, kind, files: [] })
const fresh: Event = { type: 'credentials.fresh', profile: 'app', accessKeyId: '', roleArn: '', expiresAt: 0, deadline: 0, refreshAt: 0 }

function setUp(t: TestContext, on: readonly Trigger[], due = false) {
  const { emit, of, events } = recorder()
  const clock = createFakeClock()
  const runs: { done: () => void; fail: (error: Error) => void }[] = []
  let together = 0
  const action = async (signal: AbortSignal) => {
    assert.equal(++together, 1, 'never two at once')
    try {
      await new Promise<void>((resolve, reject) => {
        runs.push({ done: resolve, fail: reject })
        signal.addEventListener('abort', () => reject(signal.reason))
      })
    } finally {
      together--
    }
  }
  const hook = createHook({ name: '1', on, action, due, emit })
  const running = start(hook.run)
  t.after(() => running.stop())
  return { ...hook, clock, runs, of, events, running }
}

test('a hook hears of the kinds that it asked for, and of nothing else', async (t) => {
  const all: Event[] = [written('x509'), written('jwt'), written('jwt_bundle'), fresh]
  for (const [index, on] of (['x509', 'jwt', 'jwt_bundle', 'credentials'] as const).entries()) {
    const { listener, clock, runs } = setUp(t, [on])
    for (const [other, event] of all.entries()) if (other !== index) listener(event)
    listener({ type: 'output.failed', output: 'x', kind: 'x509', failure: failure('file_write', ''), retryInSeconds: 1 })
    listener({ type: 'output.removed', output: 'x', kind: 'jwt', why: '' })
    await clock.settle()
    assert.equal(runs.length, 0)
    for (const event of all) listener(event)
    await clock.settle()
    assert.equal(runs.length, 1)
  }
})

test('what comes during a run is one more run, however much it is', async (t) => {
  const { listener, clock, runs, of } = setUp(t, ['x509', 'jwt'])
  listener(written('x509'))
  await clock.settle()
  for (let n = 0; n < 10; n++) listener(written(n % 2 === 0 ? 'x509' : 'jwt'))
  await clock.settle()
  assert.equal(runs.length, 1)
  runs[0]?.done()
  await clock.settle()
  assert.deepEqual([runs.length, of('hook.done').length], [2, 1])
  runs[1]?.done()
  await clock.settle()
  assert.deepEqual([runs.length, of('hook.done').length], [2, 2])
})

test('a failure is told and ends nothing; what came meanwhile is told once more', async (t) => {
  const { listener, clock, runs, events } = setUp(t, ['x509'])
  listener(written('x509'))
  await clock.settle()
  listener(written('x509'))
  runs[0]?.fail(failure('hook_failed', 'exit status 1'))
  await clock.settle()
  runs[1]?.fail(new TypeError('a defect'))
  await clock.settle()
  assert.deepEqual(
    events.map((event) => (event.type === 'hook.failed' ? event.failure.code : event.type)),
    ['hook_failed', 'internal'],
  )
  listener(written('x509'))
  await clock.settle()
  runs[2]?.done()
  await clock.settle()
  assert.equal(events.at(-1)?.type, 'hook.done')
})

test('a hook that is due is told at once, another one is not', async (t) => {
  for (const due of [true, false]) {
    const { clock, runs } = setUp(t, ['x509'], due)
    await clock.settle()
    assert.equal(runs.length, due ? 1 : 0)
  }
})

test('stopping during a run ends it and is no failure', async (t) => {
  const { listener, clock, running, events } = setUp(t, ['x509'])
  listener(written('x509'))
  await clock.settle()
  await running.stop()
  listener(written('x509'))
  await clock.settle()
  assert.deepEqual(events, [])
})
