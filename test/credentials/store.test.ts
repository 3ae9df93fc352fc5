// One profile's store: every move of its state, one promise each.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { acceptCredentials, type Credentials } from '../../src/aws/credentials.ts'
import { failure } from '../../src/core/errors.ts'
import type { Event } from '../../src/core/events.ts'
import { start } from '../../src/core/run.ts'
import { createLimiter } from '../../src/credentials/limiter.ts'
import { createStore, usable } from '../../src/credentials/store.ts'
import type { Exchange } from '../../src/exchange/exchange.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'

const role = 'arn:aws:iam::111122223333:role/app'

const issue = (clock: FakeClock, id: number, seconds = 3_600): Credentials =>
  acceptCredentials({ accessKeyId: `ASIA${id}`, secretAccessKey: 's', sessionToken: 't', expiration: new Date(clock.now() + seconds * 1000 + 1_000) }, role, {
    date: clock.now(),
    sentAt: clock.boot(),
    receivedAt: clock.now(),
  })

function setUp(exchange: (count: number, clock: FakeClock, signal: AbortSignal) => Credentials | Promise<Credentials>) {
  const clock = createFakeClock()
  const events: Event[] = []
  let calls = 0
  const wrapped: Exchange = async (signal) => exchange(++calls, clock, signal)
  const store = createStore({ profile: 'app', method: 'rolesanywhere', exchange: wrapped, clock, random: () => 0.5, emit: (event) => events.push(event) })
  const running = start(store.run)
  return { clock, store, events, stop: () => running.stop(), calls: () => calls, keyId: () => usable(store.state.current, clock.boot())?.accessKeyId }
}

test('credentials are renewed for ever without anyone asking', async () => {
  const { clock, store, calls, stop, keyId } = setUp((count, at) => issue(at, count))
  await clock.advance(1)
  assert.equal(keyId(), 'ASIA1')
  await clock.advance(3_600_000 * 10)
  assert.ok(calls() >= 21 && calls() <= 25, `${calls()} calls in ten hours`)
  assert.equal(store.state.current.status, 'fresh')
  await stop()
  assert.equal(clock.sleeping, 0, 'no timer stays behind')
})

test('the last good credentials are served through an outage to their very end, then none', async () => {
  const { clock, store, stop, keyId, events } = setUp((count, at) => {
    if (count > 1) throw failure('aws_unavailable', 'down')
    return issue(at, count)
  })
  await clock.advance(3_599_000)
  assert.equal(store.state.current.status, 'stale')
  assert.equal(store.state.current.failure?.code, 'aws_unavailable')
  assert.equal(keyId(), 'ASIA1')
  await clock.advance(2_000)
  assert.equal(store.state.current.status, 'expired')
  assert.equal(keyId(), undefined)
  assert.ok(events.some((event) => event.type === 'credentials.expired'))
  await stop()
})

test('after a suspend nothing expired is given out, although no timer has run yet', async () => {
  const { clock, store, stop, keyId } = setUp((count, at) => issue(at, count))
  await clock.advance(1)
  clock.suspend(7_200_000)
  assert.equal(store.state.current.status, 'fresh', 'the state is late')
  assert.equal(keyId(), undefined, 'the answer is not')
  await clock.advance(1)
  assert.equal(keyId(), 'ASIA2', 'and it is renewed at once')
  await stop()
})

test('a wall clock that is set wrong changes nothing', async () => {
  const { clock, calls, stop, keyId } = setUp((count, at) => issue(at, count))
  await clock.advance(1)
  clock.stepWall(86_400_000)
  await clock.advance(60_000)
  assert.equal(keyId(), 'ASIA1')
  clock.stepWall(-2 * 86_400_000)
  await clock.advance(60_000)
  assert.equal(calls(), 1)
  await stop()
})

test('one call is in flight however many ask, and all of them get its result', async () => {
  let inFlight = 0
  let most = 0
  const { clock, store, calls, stop } = setUp(async (count, at, signal) => {
    most = Math.max(most, ++inFlight)
    await at.sleep(5_000, signal)
    inFlight--
    return issue(at, count)
  })
  await clock.advance(6_000)
  const asked = Array.from({ length: 50 }, () => store.refresh(new AbortController().signal))
  await clock.advance(6_000)
  const states = await Promise.all(asked)
  assert.equal(calls(), 2)
  assert.equal(most, 1)
  assert.ok(states.every((state) => state.status === 'fresh'))
  await clock.advance(60_000)
  assert.equal(calls(), 2, 'no echo of the requests')
  await stop()
})

test('a changed identity cuts the wait after a failure short, and leaves good credentials alone', async () => {
  const { clock, store, calls, stop, keyId } = setUp((count, at) => {
    if (count === 1) throw failure('access_denied', 'no')
    return issue(at, count)
  })
  await clock.advance(1_000)
  assert.equal(calls(), 1)
  store.nudge()
  await clock.advance(1)
  assert.equal(keyId(), 'ASIA2')
  store.nudge()
  await clock.advance(60_000)
  assert.equal(calls(), 2, 'an SVID rotation does not throw good credentials away')
  await stop()
})

test('an identity that changes during an attempt that fails gets an attempt of its own', async () => {
  const { clock, store, calls, stop, keyId } = setUp(async (count, at, signal) => {
    await at.sleep(1_000, signal)
    if (count === 1) throw failure('access_denied', 'no')
    return issue(at, count)
  })
  await clock.advance(500)
  store.nudge()
  await clock.advance(1_600)
  assert.equal(calls(), 2)
  assert.equal(keyId(), 'ASIA2')
  await stop()
})

test('a failure that only a change can mend is not tried again until then', async () => {
  const { clock, store, calls, stop } = setUp(() => {
    throw failure('usage', 'hopeless')
  })
  await clock.advance(86_400_000)
  assert.equal(calls(), 1)
  store.nudge()
  await clock.advance(1)
  assert.equal(calls(), 2)
  await stop()
})

test('dropped credentials are gone at once and asked for again', async () => {
  const { clock, store, calls, stop, keyId, events } = setUp(async (count, at, signal) => {
    if (count === 2) await at.sleep(1e9, signal) // no identity: the exchange waits
    return issue(at, count)
  })
  await clock.advance(1)
  store.drop(failure('identity_not_issued', 'withdrawn'))
  assert.equal(keyId(), undefined)
  await clock.advance(1)
  assert.equal(calls(), 2)
  assert.ok(events.some((event) => event.type === 'credentials.dropped'))
  await stop()
})

test('credentials that were on their way when the identity was withdrawn are dropped, too', async () => {
  const { clock, store, stop, keyId } = setUp(async (count, at, signal) => {
    await at.sleep(count === 1 ? 5_000 : 1e9, signal)
    return issue(at, count)
  })
  await clock.advance(1_000)
  store.drop(failure('identity_not_issued', 'withdrawn'))
  await clock.advance(10_000)
  assert.equal(keyId(), undefined)
  assert.equal(store.state.current.failure?.code, 'identity_not_issued')
  await stop()
})

test('a refused token is replaced at once, twice, before patience sets in', async () => {
  const times: number[] = []
  const { clock, stop } = setUp((_count, at) => {
    times.push(at.boot())
    throw failure('expired_token', 'expired')
  })
  await clock.advance(500)
  assert.equal(times.length, 3)
  await stop()
})

test('no second sees more than five exchanges begin, whoever asks', async () => {
  const clock = createFakeClock()
  const permit = createLimiter(5, clock)
  const granted: number[] = []
  const never = new AbortController().signal
  const all = Array.from({ length: 43 }, () => permit(never).then(() => granted.push(clock.boot())))
  await clock.advance(10_000)
  await Promise.all(all)
  for (const from of granted) assert.ok(granted.filter((at) => at >= from && at < from + 1_000).length <= 5)
  assert.ok((granted.at(-1) ?? 0) - (granted[0] ?? 0) <= 8_000, 'and none waits longer than it must')
})
