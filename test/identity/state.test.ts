// The life of one identity: messages make it ready, failures stand beside it, and only a denial that lasts ends it.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type FailureCode, failure } from '../../src/core/errors.ts'
import type { Event } from '../../src/core/events.ts'
import type { Source } from '../../src/core/source.ts'
import { type IdentityState, whenReady } from '../../src/identity/sources.ts'
import { createIdentityCell } from '../../src/identity/state.ts'
import { createFakeClock } from '../support/fake-clock.ts'

function identity() {
  const clock = createFakeClock()
  const events: Event[] = []
  const cell = createIdentityCell<string>({ identity: 'i', clock, emit: (event) => void events.push(event) }, 'x509', (value) => value)
  return {
    clock,
    cell,
    source: cell.source,
    told: () => events.map(({ type }) => type),
    fail: (code: FailureCode, message: string = code) => cell.failing(failure(code, message)),
    shown: () => {
      const { current } = cell.source
      return [current.status, current.status === 'ready' ? current.value : undefined, current.failure?.code]
    },
  }
}

test('it waits, is ready, has a failure beside it and is rid of it again', () => {
  const { cell, fail, shown, told } = identity()
  assert.deepEqual(shown(), ['waiting', undefined, undefined])
  cell.ready('a')
  assert.deepEqual(shown(), ['ready', 'a', undefined])
  fail('workload_api_unreachable')
  assert.deepEqual(shown(), ['ready', 'a', 'workload_api_unreachable'])
  cell.ready('b')
  assert.deepEqual(shown(), ['ready', 'b', undefined])
  assert.deepEqual(told(), ['identity.failing', 'identity.recovered'])
})

test('the same value and the same failure change nothing', () => {
  const { cell, source, fail, told } = identity()
  cell.ready('a')
  const ready = source.current
  cell.ready('a')
  assert.equal(source.current, ready)
  fail('workload_api_silent', 'm')
  const failing = source.current
  fail('workload_api_silent', 'm')
  assert.equal(source.current, failing)
  fail('workload_api_silent', 'another message')
  assert.notEqual(source.current, failing)
  assert.deepEqual(told(), ['identity.failing', 'identity.failing'])
})

test('a failure is beside the value, and goes with the next one', () => {
  const { cell, source, fail } = identity()
  cell.ready('a')
  fail('workload_api_silent')
  const { failure: beside, ...rest } = source.current
  assert.deepEqual([rest, beside?.code], [{ status: 'ready', value: 'a' }, 'workload_api_silent'])
  cell.ready('b')
  assert.deepEqual(source.current, { status: 'ready', value: 'b' })
})

test('every state is frozen', () => {
  const { cell, source, fail } = identity()
  for (const move of [() => cell.ready('a'), () => fail('internal'), () => cell.ended(failure('jwt_svid_expired', ''))]) {
    move()
    assert.ok(Object.isFrozen(source.current))
  }
})

test('what ended by its own dates is waited for again', () => {
  const { cell, shown } = identity()
  cell.ready('a')
  cell.ended(failure('jwt_svid_expired', 'm'))
  assert.deepEqual(shown(), ['waiting', undefined, 'jwt_svid_expired'])
  cell.ready('b')
  assert.deepEqual(shown(), ['ready', 'b', undefined])
})

describe('a denial', () => {
  test('counts by the boot clock, suspends included, and not by the wall', () => {
    const { cell, clock, fail, shown } = identity()
    cell.ready('a')
    fail('identity_not_issued')
    clock.stepWall(3_600_000)
    fail('identity_not_issued')
    assert.equal(shown()[0], 'ready')
    clock.stepWall(-7_200_000)
    clock.suspend(15_000)
    fail('identity_not_issued')
    assert.equal(shown()[0], 'withdrawn')
  })

  test('of both kinds is one', async () => {
    const { cell, clock, fail, shown } = identity()
    cell.ready('a')
    fail('identity_missing')
    await clock.advance(10_000)
    fail('identity_not_issued')
    await clock.advance(5_000)
    fail('identity_missing')
    assert.deepEqual(shown(), ['withdrawn', undefined, 'identity_missing'])
  })

  test('never withdraws what never was ready', async () => {
    const { clock, fail, shown } = identity()
    for (let second = 0; second < 60; second++) {
      fail('identity_not_issued')
      await clock.advance(1_000)
    }
    assert.deepEqual(shown(), ['waiting', undefined, 'identity_not_issued'])
  })
})

test('in any history it is withdrawn exactly when 15 s of denials without a break were the last that was heard', async () => {
  const step = fc.tuple(
    fc.constantFrom('good', 'identity_not_issued', 'identity_missing', 'workload_api_unreachable', 'workload_api_silent'),
    fc.integer({ min: 0, max: 8_000 }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const { cell, clock, fail, shown } = identity()
      let deniedAt: number | undefined
      let expected = 'waiting'
      for (const [what, pause] of steps) {
        if (what === 'good') {
          cell.ready('a')
          expected = 'ready'
          deniedAt = undefined
        } else {
          fail(what as FailureCode)
          deniedAt = what.startsWith('identity') ? (deniedAt ?? clock.boot()) : undefined
          if (expected === 'ready' && deniedAt !== undefined && clock.boot() - deniedAt >= 15_000) expected = 'withdrawn'
        }
        assert.equal(shown()[0], expected)
        clock.suspend(pause)
      }
    }),
  )
})

describe('whoever waits until it is ready', () => {
  const waiting = (source: Source<IdentityState<string>>) => {
    const controller = new AbortController()
    const seen: { value?: string; error?: unknown } = {}
    whenReady(source, controller.signal).then(
      (value) => (seen.value = value),
      (error: unknown) => (seen.error = error),
    )
    return { seen, controller }
  }

  test('has it at once when it is there, also with a failure beside it', async () => {
    const { cell, clock, source, fail } = identity()
    cell.ready('a')
    fail('workload_api_unreachable')
    const { seen } = waiting(source)
    await clock.settle()
    assert.equal(seen.value, 'a')
  })

  test('waits through failures and while it is withdrawn', async () => {
    const { cell, clock, source, fail } = identity()
    const first = waiting(source)
    fail('workload_api_silent')
    await clock.settle()
    assert.deepEqual(first.seen, {})
    cell.ready('a')
    await clock.settle()
    assert.equal(first.seen.value, 'a')
    fail('identity_not_issued')
    clock.suspend(15_000)
    fail('identity_not_issued')
    const second = waiting(source)
    await clock.settle()
    assert.deepEqual(second.seen, {})
    cell.ready('b')
    await clock.settle()
    assert.equal(second.seen.value, 'b')
  })

  test('is let go with the reason of the signal', async () => {
    const { clock, source } = identity()
    const { seen, controller } = waiting(source)
    controller.abort('enough')
    await clock.settle()
    assert.equal(seen.error, 'enough')
    await assert.rejects(whenReady(source, AbortSignal.abort(new Error('before'))), /before/)
  })
})
