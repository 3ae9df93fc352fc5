// What health, metrics and log make of the events of outputs and hooks: four folds that cannot disagree.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '../../src/core/errors.ts'
import type { Event } from '../../src/core/events.ts'
import { describe } from '../../src/telemetry/describe.ts'
import { createHealth } from '../../src/telemetry/health.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { createFakeClock } from '../support/fake-clock.ts'

const cannot = failure('file_write', 'cannot write /t: no space left on device', { facts: { path: '/t', reason: 'no space left on device' } })
const broken = failure('hook_failed', 'true ended with exit status 1')
const loaded = (...outputs: string[]): Event => ({
  type: 'config.loaded',
  at: 0,
  origin: 'test',
  identities: ['default'],
  profiles: [],
  outputs: outputs.map((output) => ({ output, kind: 'jwt' as const })),
  hooks: ['1 (a)', '2 (b)', '1 (true)', '2 (true)', '1', '2'],
})
const failed = (output = 'jwt /t'): Event => ({ type: 'output.failed', output, kind: 'jwt', failure: cannot, retryInSeconds: 4 })
const removed: Event = { type: 'output.removed', output: 'jwt /t', kind: 'jwt', why: 'it has expired' }

function setUp() {
  const clock = createFakeClock()
  const health = createHealth(clock)
  const tell = (...events: Event[]) => events.forEach(health.listener)
  const written = (lifeMs?: number, output = 'jwt /t'): Event => ({
    type: 'output.written',
    output,
    kind: 'jwt',
    files: ['/t'],
    ...(lifeMs === undefined ? {} : { expiresAt: clock.now() + lifeMs }),
  })
  return { clock, ...health, tell, written, state: () => [health.status().outputs[0]?.status, health.health().ready] }
}

test('an output is missing, failed, written, outdated or expired, and ready while what lies there is of use', async () => {
  const { clock, tell, written, state, health } = setUp()
  tell(loaded('jwt /t'))
  assert.deepEqual(state(), ['missing', false])
  tell(failed())
  assert.deepEqual(state(), ['failed', false])
  assert.deepEqual(health(), { ready: false, started: false, missing: ['jwt /t'] })
  tell(written(60_000))
  assert.deepEqual(state(), ['written', true])
  tell(failed())
  assert.deepEqual(state(), ['outdated', true])
  await clock.advance(59_999)
  assert.deepEqual(state(), ['outdated', true])
  await clock.advance(1)
  assert.deepEqual(state(), ['expired', false], 'without any event: by the clock')
  tell(removed)
  assert.equal(state()[1], false)
  tell(written())
  assert.deepEqual(state(), ['written', true])
  tell(removed)
  assert.deepEqual(state(), ['missing', false])
  assert.deepEqual(health(), { ready: false, started: true, missing: ['jwt /t'] }, 'started never goes back')
})

test('a problem has subject, reason and remedy, and goes with a success or with its output', () => {
  const { tell, written, status } = setUp()
  tell(loaded('jwt /t', 'jwt /u'), failed(), failed('jwt /u'))
  const [first] = status().problems
  assert.deepEqual([first?.subject, first?.code, first?.message, first?.runbook], ['jwt /t', 'file_write', cannot.message, 'docs/errors.md#file_write'])
  tell(written())
  assert.deepEqual(
    status().problems.map(({ subject }) => subject),
    ['jwt /u'],
  )
  tell(loaded('jwt /t'))
  assert.deepEqual(status().problems, [])
  assert.deepEqual(
    status().outputs.map(({ status: one }) => one),
    ['written'],
    'a reload forgets nothing that stays',
  )
})

test('a removal that failed is a problem until it succeeds, and then the output is missing, not failed', () => {
  const { clock, tell, written, status } = setUp()
  tell(loaded('jwt /t'), written(1_000))
  clock.suspend(1_000)
  tell(failed())
  assert.deepEqual([status().problems.length, status().outputs[0]?.status], [1, 'expired'])
  tell(removed)
  assert.deepEqual([status().problems, status().outputs[0]?.status], [[], 'missing'])
})

test('a hook that failed is a problem until it is done, and does not touch readiness', () => {
  const { tell, written, status, health } = setUp()
  tell(loaded('jwt /t'), written(), { type: 'hook.failed', hook: '1 (true)', failure: broken })
  assert.ok(health().ready)
  assert.equal(status().problems[0]?.subject, 'hook 1 (true)')
  tell({ type: 'hook.done', hook: '1 (true)' })
  assert.deepEqual(status().problems, [])
})

test('metrics count writes, failures and hooks, know the end of what lies there, and forget outputs that are gone', async () => {
  const { clock, written } = setUp()
  const metrics = createMetrics()
  const has = async (line: string) => assert.ok((await metrics.render()).body.split('\n').includes(line), `${line}\n${(await metrics.render()).body}`)
  const tell = (...events: Event[]) => events.forEach(metrics.listener)
  tell(loaded('jwt /t'))
  await has('svidecar_file_writes_total{output="jwt /t"} 0')
  await has('svidecar_file_write_failures_total{output="jwt /t"} 0')
  const end = clock.now() + 60_000
  tell(written(60_000), failed(), failed(), { type: 'hook.done', hook: '1 (a)' }, { type: 'hook.failed', hook: '1 (a)', failure: broken })
  await has('svidecar_file_writes_total{output="jwt /t"} 1')
  await has('svidecar_file_write_failures_total{output="jwt /t"} 2')
  await has(`svidecar_file_expiry_timestamp_seconds{output="jwt /t"} ${end / 1000}`)
  await has('svidecar_hook_runs_total{hook="1 (a)",outcome="done"} 1')
  await has('svidecar_hook_runs_total{hook="1 (a)",outcome="failed"} 1')
  tell(removed)
  assert.doesNotMatch((await metrics.render()).body, /svidecar_file_expiry_timestamp_seconds\{/)
  tell(loaded('jwt /u'))
  assert.doesNotMatch((await metrics.render()).body, /jwt \/t/)
})

test('log lines have a level by what there is to do, a sentence, and fields to search by', () => {
  const { clock, written } = setUp()
  const line = (event: Event) => {
    const { level, message, fields } = describe(event)
    return [level, message, fields]
  }
  const expires = new Date(clock.now() + 1_000).toISOString()
  assert.deepEqual(line(written(1_000)), [
    'info',
    `jwt /t: written, valid until ${expires}`,
    { event: 'output.written', output: 'jwt /t', kind: 'jwt', files: ['/t'], expires },
  ])
  assert.deepEqual(line(failed()), [
    'error',
    'jwt /t: cannot write /t: no space left on device. Look at the directory: its rights, its space, its mount. Next attempt: 4.0 s',
    { event: 'output.failed', output: 'jwt /t', kind: 'jwt', retry_in_seconds: 4, code: 'file_write', path: '/t', reason: 'no space left on device' },
  ])
  assert.deepEqual(line(removed).slice(0, 2), ['info', 'jwt /t: removed, because it has expired'])
  assert.deepEqual(line({ type: 'hook.said', hook: '1 (a)', line: 'x' }), ['info', 'hook 1 (a): x', { event: 'hook.said', hook: '1 (a)' }])
  assert.equal(line({ type: 'hook.failed', hook: '1 (a)', failure: broken })[0], 'error')
  for (const expected of [true, false])
    assert.deepEqual(line({ type: 'hook.child_ended', hook: '1 (a)', how: 'exit status 0', expected }).slice(0, 2), [
      expected ? 'info' : 'warn',
      'hook 1 (a): its process ended with exit status 0',
    ])
})
