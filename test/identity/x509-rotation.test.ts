// The rotation that does not come is noticed: one new stream at 40 % of life, unhealthy at 10 %, expired at the end.
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { deny, gone } from './scripted-api.ts'
import { createIssuer, startX509 } from './setup.ts'

/** A source whose agent has sent an SVID that lives for 1000 s and does not rotate it. */
async function unrotated(t: TestContext, { ageSeconds = 0, names = ['web'] } = {}) {
  const world = startX509(t)
  const issuer = await createIssuer(world.clock)
  await world.clock.settle()
  const first = await issuer.message(names, { ttlSeconds: 1_000, ageSeconds })
  world.agent().send(first)
  await world.clock.settle()
  return { ...world, issuer, first }
}

describe('above 40 % of its life', () => {
  test('an SVID is left in peace', async (t) => {
    const { api, clock, of, failureCode } = await unrotated(t)
    await clock.advance(599_000)
    assert.deepEqual([api.x509.all.length, of('identity.warning').length, failureCode()], [1, 0, undefined])
  })

  test('one that is rotated in time never causes a second stream', async (t) => {
    const { api, agent, clock, of, issuer } = await unrotated(t)
    for (let turn = 0; turn < 5; turn++) {
      await clock.advance(550_000)
      agent().send(await issuer.message(['web'], { ttlSeconds: 1_000 }))
    }
    await clock.settle()
    assert.deepEqual([api.x509.all.length, of('identity.warning').length, of('identity.failing').length], [1, 0, 0])
  })
})

describe('at 40 % of its life', () => {
  test('the stream is replaced, with a warning: made, then broken', async (t) => {
    const { api, agent, clock, of, source, issuer, failureCode } = await unrotated(t)
    const old = agent()
    await clock.advance(601_000)
    assert.deepEqual(
      api.x509.all.map(({ open }) => open),
      [true, true],
    )
    assert.deepEqual(
      of('identity.warning').map(({ code }) => code),
      ['x509_rotation_late'],
    )
    assert.equal(failureCode(), undefined, 'no harm yet')
    const next = await issuer.message(['web'], { ttlSeconds: 1_000 })
    agent().send(next)
    await clock.settle()
    assert.equal(old.open, false)
    assert.ok(source.current.status === 'ready')
    assert.deepEqual(source.current.value.svid.leaf.raw, next.svids[0]?.x509_svid)
    await clock.advance(590_000)
    assert.equal(api.x509.all.length, 2)
  })

  test('it is replaced once, also when the new stream brings the same SVID', async (t) => {
    const { api, agent, clock, of, first } = await unrotated(t)
    await clock.advance(601_000)
    agent().send(first)
    await clock.advance(290_000)
    assert.deepEqual(
      api.x509.all.map(({ open }) => open),
      [false, true],
    )
    assert.equal(of('identity.warning').length, 1)
  })

  test('it is replaced once, however often other identities of the agent are renewed meanwhile', async (t) => {
    const { api, agent, clock, of, issuer, first } = await unrotated(t, { names: ['web', 'api'] })
    await clock.advance(601_000)
    agent().send(first)
    for (let turn = 0; turn < 5; turn++) {
      await clock.advance(10_000)
      const [own] = first.svids
      const [, other] = (await issuer.message(['web', 'api'], { ttlSeconds: 1_000 })).svids
      assert.ok(own && other)
      agent().send({ ...first, svids: [own, other] })
    }
    await clock.advance(10_000)
    assert.equal(of('identity.warning').filter(({ code }) => code === 'x509_rotation_late').length, 1)
    assert.equal(api.x509.all.length, 2)
  })

  test('the old stream is kept when the new one fails', async (t) => {
    const { api, agent, clock, spiffeId } = await unrotated(t)
    const old = agent()
    api.x509.script(gone)
    await clock.advance(700_000)
    assert.ok(old.open)
    assert.deepEqual([api.x509.open.length, api.x509.all.length], [1, 3], 'it is tried again a minute later, and never beside another')
    assert.ok(spiffeId())
  })

  test('an SVID that comes that old causes one replacement', async (t) => {
    const { api, clock } = await unrotated(t, { ageSeconds: 700 })
    await clock.advance(100_000)
    assert.equal(api.x509.all.length, 2)
  })

  test('a suspend over the mark is noticed at once', async (t) => {
    const { api, clock } = await unrotated(t)
    await clock.advance(1_000)
    clock.suspend(650_000)
    await clock.advance(1)
    assert.equal(api.x509.all.length, 2)
  })
})

describe('at 10 % of its life', () => {
  test('an SVID that nobody renews is a failure, and still there', async (t) => {
    const { clock, failureCode, spiffeId } = await unrotated(t)
    await clock.advance(895_000)
    assert.equal(failureCode(), 'workload_api_silent', 'the replacement is silent')
    await clock.advance(10_000)
    assert.equal(failureCode(), 'x509_rotation_late')
    assert.ok(spiffeId())
  })

  test('a new one ends the failure', async (t) => {
    const { agent, clock, issuer, failureCode, of } = await unrotated(t)
    await clock.advance(905_000)
    agent().send(await issuer.message(['web'], { ttlSeconds: 1_000 }))
    await clock.advance(1_000)
    assert.equal(failureCode(), undefined)
    assert.equal(of('identity.recovered').length, 1)
    await clock.advance(500_000)
    assert.equal(failureCode(), undefined)
  })

  test('the same one sent again is told to nobody as a recovery', async (t) => {
    const { agent, clock, first, failureCode, of } = await unrotated(t)
    await clock.advance(601_000)
    agent().send(first)
    await clock.advance(304_000)
    assert.equal(failureCode(), 'x509_rotation_late')
    for (let time = 0; time < 10; time++) {
      agent().send(first)
      await clock.advance(1_000)
    }
    assert.equal(failureCode(), 'x509_rotation_late')
    assert.equal(of('identity.recovered').length, 0)
  })

  test('a renewal of another identity is told to nobody as a recovery either', async (t) => {
    const { agent, clock, first, issuer, failureCode, of } = await unrotated(t, { names: ['web', 'api'] })
    await clock.advance(601_000)
    agent().send(first)
    await clock.advance(304_000)
    assert.equal(failureCode(), 'x509_rotation_late')
    const [own] = first.svids
    for (let turn = 0; turn < 5; turn++) {
      const [, other] = (await issuer.message(['web', 'api'], { ttlSeconds: 1_000 })).svids
      assert.ok(own && other)
      agent().send({ ...first, svids: [own, other] })
      await clock.advance(1_000)
    }
    assert.equal(failureCode(), 'x509_rotation_late')
    assert.equal(of('identity.recovered').length, 0)
  })

  test('an agent that is away is told as one story and not two in turns', async (t) => {
    const { api, agent, clock, of, states } = await unrotated(t)
    await clock.advance(850_000)
    api.x509.script(gone)
    for (const stream of api.x509.open) gone(stream)
    assert.ok(agent())
    await clock.advance(40_000)
    const [told, seen] = [of('identity.failing').length, states.length]
    await clock.advance(60_000)
    assert.ok(of('identity.failing').length - told <= 3, `${of('identity.failing').length - told} events in a minute`)
    assert.ok(states.length - seen <= 3, `${states.length - seen} states in a minute`)
  })

  test('a denial still withdraws it after 15 s', async (t) => {
    const { api, clock, source } = await unrotated(t)
    await clock.advance(905_000)
    api.x509.script(deny)
    for (const stream of api.x509.open) deny(stream)
    await clock.advance(20_000)
    assert.deepEqual([source.current.status, source.current.failure?.code], ['withdrawn', 'identity_not_issued'])
  })
})

describe('at its end', () => {
  test('an SVID is told to have expired, and when', async (t) => {
    const { agent, clock, first, failureCode, source } = await unrotated(t)
    await clock.advance(601_000)
    agent().send(first)
    await clock.advance(398_000)
    assert.equal(failureCode(), 'x509_rotation_late')
    await clock.advance(1_002)
    assert.equal(failureCode(), 'x509_svid_expired')
    assert.match(source.current.failure?.message ?? '', /expired at 2026-01-01T00:16:40\.000Z/)
    await clock.advance(3_600_000)
    assert.equal(failureCode(), 'x509_svid_expired')
  })

  test('a denial after it still withdraws it', async (t) => {
    const { api, clock, source } = await unrotated(t)
    await clock.advance(1_010_000)
    api.x509.script(deny)
    for (const stream of api.x509.open) deny(stream)
    await clock.advance(20_000)
    assert.equal(source.current.status, 'withdrawn')
  })

  test('a new one is taken as any other', async (t) => {
    const { agent, clock, issuer, source } = await unrotated(t)
    await clock.advance(1_010_000)
    agent().send(await issuer.message(['web'], { ttlSeconds: 1_000 }))
    await clock.advance(1_000)
    assert.deepEqual([source.current.status, source.current.failure], ['ready', undefined])
  })
})
