// IMDS tokens: valid for their time, on their listener, over a restart, and without a table that grows.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Clock } from '../../src/core/clock.ts'
import { createImdsTokens } from '../../src/endpoints/imds-token.ts'
import { createFakeClock } from '../support/fake-clock.ts'

const key = Buffer.alloc(32, 7)
const longest = 21_600

/** A clock at an instant of the boot clock, fractions included, as os.uptime() gives them. */
const clockAt = (boot: number): Clock => ({ now: () => 0, boot: () => boot, sleep: () => Promise.resolve() })

test('a token lives for the seconds that were asked for, to the millisecond, and says how many are left', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: longest }), fc.integer({ min: 0, max: 2 * longest }), (ttl, after) => {
      const clock = createFakeClock()
      const tokens = createImdsTokens(key, 'imds app', clock)
      const token = tokens.issue(ttl)
      clock.suspend(after * 1_000)
      assert.equal(tokens.remainingSeconds(token), after < ttl ? ttl - after : undefined)
    }),
  )
  const clock = createFakeClock()
  const tokens = createImdsTokens(key, 'imds app', clock)
  const token = tokens.issue(1)
  clock.suspend(999)
  assert.equal(tokens.remainingSeconds(token), 1)
  clock.suspend(1)
  assert.equal(tokens.remainingSeconds(token), undefined)
})

test('a token never says that it lives longer than was asked for', () => {
  // os.uptime() comes in hundredths of a second, which are no whole milliseconds once they are floats.
  const boots = fc.integer({ min: 1, max: 1_000_000_000 }).map((hundredths) => (hundredths / 100) * 1_000)
  fc.assert(
    fc.property(boots, fc.integer({ min: 1, max: longest }), (boot, ttl) => {
      const tokens = createImdsTokens(key, 'imds app', clockAt(boot))
      assert.ok((tokens.remainingSeconds(tokens.issue(ttl)) ?? 0) <= ttl)
    }),
    { numRuns: 2_000 },
  )
})

test('a token is valid on its own listener only', () => {
  const clock = createFakeClock()
  const names = ['imds app', 'imds app2', 'imds ap', 'imds', '', 'imds app\0']
  for (const issuer of names)
    for (const reader of names)
      assert.equal(
        createImdsTokens(key, reader, clock).remainingSeconds(createImdsTokens(key, issuer, clock).issue(60)),
        issuer === reader ? 60 : undefined,
        `${issuer} → ${reader}`,
      )
})

test('a restart with the same key keeps tokens valid; another key does not', () => {
  const clock = createFakeClock()
  const token = createImdsTokens(key, 'imds app', clock).issue(60)
  assert.equal(createImdsTokens(Buffer.from(key), 'imds app', clock).remainingSeconds(token), 60)
  assert.equal(createImdsTokens(randomBytes(32), 'imds app', clock).remainingSeconds(token), undefined)
})

test('a token does not outlive a reboot of the machine, which starts the boot clock again', () => {
  const before = createImdsTokens(key, 'imds app', clockAt(90 * 86_400_000))
  const token = before.issue(longest)
  const after = createImdsTokens(key, 'imds app', clockAt(60_000))
  assert.equal(after.remainingSeconds(token), undefined, 'it would be valid for another 90 days')
})

test('no changed, cut, stretched or invented token is valid', () => {
  const clock = createFakeClock()
  const tokens = createImdsTokens(key, 'imds app', clock)
  const token = tokens.issue(60)
  const bytes = Buffer.from(token, 'base64url')
  fc.assert(
    fc.property(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (index, flip) => {
      const changed = Buffer.from(bytes)
      changed[index] = (changed[index] ?? 0) ^ flip
      assert.equal(tokens.remainingSeconds(changed.toString('base64url')), undefined)
    }),
  )
  fc.assert(fc.property(fc.string({ maxLength: 120 }), (text) => assert.equal(tokens.remainingSeconds(text), undefined)))
  for (const text of ['', token.slice(1), token.slice(0, -1), `${token}A`, ` ${token}`, `${token}=`, 'A'.repeat(54)])
    assert.equal(tokens.remainingSeconds(text), undefined, text)
  assert.equal(tokens.remainingSeconds(token), 60)
})

test('an expired token stays expired although it was seen while it was good', () => {
  const clock = createFakeClock()
  const tokens = createImdsTokens(key, 'imds app', clock)
  const token = tokens.issue(10)
  assert.equal(tokens.remainingSeconds(token), 10)
  clock.suspend(10_000)
  assert.equal(tokens.remainingSeconds(token), undefined)
})

test('20,000 tokens, read or only issued, and forged ones do not make it grow; the first one is still good', (t) => {
  // Whatever is remembered is remembered in a Map or not at all: each insertion shows how large it has become.
  let largest = 0
  const { set } = Map.prototype
  Map.prototype.set = function (name: unknown, value: unknown) {
    set.call(this, name, value)
    largest = Math.max(largest, this.size)
    return this
  }
  t.after(() => {
    Map.prototype.set = set
  })
  const clock = createFakeClock()
  const tokens = createImdsTokens(key, 'imds app', clock)
  const first = tokens.issue(longest)
  for (let index = 0; index < 20_000; index++) {
    clock.suspend(1) // so that no two are the same
    const token = tokens.issue(longest)
    if (index % 20 !== 0) continue
    assert.ok(tokens.remainingSeconds(token) !== undefined)
    assert.equal(tokens.remainingSeconds(`${index}`.padStart(54, 'A')), undefined)
  }
  assert.ok(largest > 0 && largest <= 1_000, `it remembers ${largest}`)
  assert.equal(tokens.remainingSeconds(first), longest - 20)
})
