// When to refresh and how long to wait: pure, so checked by properties.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Credentials } from '../../src/aws/credentials.ts'
import { type FailureCode, failure } from '../../src/core/errors.ts'
import { failures } from '../../src/core/failures.ts'
import { refreshAt, retryDelay } from '../../src/credentials/refresh-policy.ts'
import { type CredentialState, usable } from '../../src/credentials/store.ts'

const unit = fc.double({ min: 0, max: 0.999_999, noNaN: true })
const codes = Object.keys(failures) as FailureCode[]

test('a refresh starts between 40 and 50 % of the life', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e12 }), fc.integer({ min: 1_000, max: 43_200_000 }), unit, (obtainedAt, life, random) => {
      const share = (refreshAt({ obtainedAt, deadline: obtainedAt + life }, () => random) - obtainedAt) / life
      assert.ok(share > 0.399 && share <= 0.5, String(share))
    }),
  )
})

test('a session of an hour always shows at least 25 minutes while AWS answers', () => {
  const hour = 3_600_000
  const left = hour - refreshAt({ obtainedAt: 0, deadline: hour }, () => 0)
  assert.ok(left - 10_000 >= 25 * 60_000, 'one attempt of ten seconds included')
})

test('credentials are alive to their deadline and not a millisecond longer', () => {
  const credentials = { deadline: 100 } as Credentials
  const state: CredentialState = { status: 'stale', credentials, since: 0 }
  assert.equal(usable(state, 99), credentials)
  assert.equal(usable(state, 100), undefined)
})

test('no failure is retried in a tight loop, none later than its kind allows', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...codes),
      fc.integer({ min: 0, max: 100 }),
      fc.integer({ min: 0, max: 43_200_000 }),
      unit,
      (code, attempt, remaining, random) => {
        const delay = retryDelay(failure(code, 'x'), attempt, remaining, () => random)
        const { retry } = failures[code]
        if (retry === 'never') assert.equal(delay, Number.POSITIVE_INFINITY)
        else if (retry === 'slow') assert.ok(delay >= 30_000 && delay <= 300_000)
        else assert.ok(delay >= 0 && delay <= Math.max(300_000, remaining / 4))
      },
    ),
  )
})

test('"now" holds twice in a row and becomes "soon"', () => {
  const expired = failure('expired_token', 'x')
  assert.deepEqual(
    [0, 1, 2].map((attempt) => retryDelay(expired, attempt, 0, () => 0.5)),
    [0, 0, 2_000],
  )
})

test('throttling and 5xx step back to a quarter of the life left, never under a minute; a network error does not', () => {
  const half = () => 0.999_999
  assert.ok(retryDelay(failure('throttled', 'x'), 20, 1_800_000, half) > 440_000)
  assert.ok(retryDelay(failure('aws_unavailable', 'x'), 20, 10_000, half) > 59_000)
  assert.ok(retryDelay(failure('aws_unavailable', 'x'), 20, 10_000, half) <= 60_000)
  assert.ok(retryDelay(failure('network', 'x'), 20, 1_800_000, half) <= 60_000)
})

test('Retry-After is obeyed within the same cap', () => {
  assert.equal(
    retryDelay(failure('throttled', 'x', { retryAfterSeconds: 7 }), 0, 0, () => 0),
    7_000,
  )
  assert.equal(
    retryDelay(failure('throttled', 'x', { retryAfterSeconds: 86_400 }), 0, 0, () => 0),
    60_000,
  )
})

test('a token that was refused three times is a matter of configuration', () => {
  const refused = failure('invalid_identity_token', 'x')
  assert.ok(retryDelay(refused, 2, 0, () => 0.999) < 5_000)
  assert.ok(retryDelay(refused, 3, 0, () => 0) >= 30_000)
})
