// Unreachable is not denied: only an agent that denies us for 15 s without a break takes an identity away.
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import type { Wanted } from '../../src/identity/choice.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { type AgentStream, deny, gone } from './scripted-api.ts'
import { createIssuer, id, startX509 } from './setup.ts'

async function ready(t: TestContext, { wanted = {} as Wanted, names = ['web'] } = {}) {
  const world = startX509(t, wanted)
  const issuer = await createIssuer(world.clock)
  await world.clock.settle()
  world.agent().send(await issuer.message(names))
  await world.clock.advance(60_000)
  assert.equal(world.spiffeId(), id('web'))
  const { api, source } = world
  return {
    ...world,
    issuer,
    status: () => source.current.status,
    /** From now on every stream ends so. */
    all: (how: (stream: AgentStream<never>) => void) => {
      api.x509.script(how as (stream: unknown) => void)
      for (const stream of api.x509.open) how(stream as AgentStream<never>)
    },
    /** From now on every stream brings an SVID for each name. */
    offer: async (...offered: string[]) => {
      const message = await issuer.message(offered)
      api.x509.script((stream) => stream.send(message))
      for (const stream of api.x509.open) stream.send(message)
      await world.clock.settle()
    },
  }
}

describe('a denial', () => {
  test('is visible at once, while the identity stays', async (t) => {
    const { all, clock, source, status, of } = await ready(t)
    all(deny)
    await clock.settle()
    assert.deepEqual([status(), source.current.failure?.code], ['ready', 'identity_not_issued'])
    assert.deepEqual(
      of('identity.failing').map(({ failure }) => failure.code),
      ['identity_not_issued'],
    )
    assert.deepEqual(
      of('identity.disconnected').map(({ wasConnected }) => wasConnected),
      [true],
    )
  })

  test('withdraws the identity when it has lasted for 15 s, not sooner and not much later', async (t) => {
    const { all, clock, status, source, of } = await ready(t)
    all(deny)
    await clock.advance(14_999)
    assert.equal(status(), 'ready')
    await clock.advance(2_501)
    assert.equal(status(), 'withdrawn')
    assert.equal(source.current.failure?.code, 'identity_not_issued')
    assert.equal(of('identity.withdrawn').length, 1)
    await clock.advance(120_000)
    assert.equal(of('identity.withdrawn').length, 1)
  })

  const breaks: Record<string, (stream: AgentStream<never>) => void> = {
    'an agent that cannot be reached': gone,
    'an agent that cannot serve': (stream) => stream.fail(14, 'the agent is stopping'),
    'an agent that is silent': () => {},
  }
  for (const [what, how] of Object.entries(breaks))
    test(`begins anew after ${what}`, async (t) => {
      const { all, clock, status } = await ready(t)
      all(deny)
      await clock.advance(13_000)
      all(how)
      await clock.advance(14_000)
      all(deny)
      await clock.advance(14_000)
      assert.equal(status(), 'ready')
      await clock.advance(4_000)
      assert.equal(status(), 'withdrawn')
    })

  test('begins anew after a good message', async (t) => {
    const { all, offer, clock, status, source } = await ready(t)
    all(deny)
    await clock.advance(13_000)
    await offer('web')
    await clock.advance(3_000)
    assert.deepEqual([status(), source.current.failure], ['ready', undefined])
    all(deny)
    await clock.advance(14_000)
    assert.equal(status(), 'ready')
    await clock.advance(4_000)
    assert.equal(status(), 'withdrawn')
  })

  test('that came while the agent was away is no longer than it is', async (t) => {
    const { all, clock, status } = await ready(t)
    all(gone)
    await clock.advance(120_000)
    assert.equal(status(), 'ready')
    all(deny)
    await clock.advance(14_000)
    assert.equal(status(), 'ready')
  })

  test('of somebody who never had an identity is a reason to wait', async (t) => {
    const { api, clock, source, of } = startX509(t)
    api.x509.script(deny)
    await clock.advance(60_000)
    assert.deepEqual([source.current.status, source.current.failure?.code], ['waiting', 'identity_not_issued'])
    assert.deepEqual([of('identity.withdrawn').length, of('identity.failing').length], [0, 1])
  })
})

describe('a withdrawn identity', () => {
  test('is given back by the next good message, without a restart', async (t) => {
    const { all, offer, clock, status, source, of } = await ready(t)
    all(deny)
    await clock.advance(20_000)
    assert.equal(status(), 'withdrawn')
    await offer('web')
    await clock.advance(3_000)
    assert.deepEqual([status(), source.current.failure], ['ready', undefined])
    assert.equal(of('identity.recovered').length, 1)
  })

  test('stays withdrawn for its reason while the agent cannot be reached on top of it', async (t) => {
    const { all, clock, status, source } = await ready(t)
    all(deny)
    await clock.advance(20_000)
    all(gone)
    await clock.advance(120_000)
    assert.deepEqual([status(), source.current.failure?.code], ['withdrawn', 'identity_not_issued'])
  })

  test('is not given back by a message that cannot be used', async (t) => {
    const { all, clock, status } = await ready(t)
    all(deny)
    await clock.advance(20_000)
    all((stream) => stream.send({ svids: [], federated_bundles: {} } as never))
    await clock.advance(60_000)
    assert.equal(status(), 'withdrawn')
  })
})

describe('a chosen identity that the agent offers no more', () => {
  const choices: Record<string, [Wanted, string[], string[]]> = {
    'by its SPIFFE ID': [{ spiffeId: parseSpiffeId(id('web')) }, ['api', 'web'], ['api']],
    'by its hint': [{ hint: 'mine' }, ['api', 'web=mine'], ['api', 'web=other']],
    'by having come first once': [{}, ['web', 'api'], ['api']],
  }
  for (const [how, [wanted, names, then]] of Object.entries(choices))
    test(`${how} is missed at once, withdrawn after 15 s, and never replaced by another`, async (t) => {
      const { offer, clock, status, source, spiffeId, states } = await ready(t, { wanted, names })
      await offer(...then)
      assert.deepEqual([status(), source.current.failure?.code], ['ready', 'identity_missing'])
      assert.equal(spiffeId(), id('web'))
      await clock.advance(14_900)
      assert.equal(status(), 'ready')
      await clock.advance(3_000)
      assert.deepEqual([status(), source.current.failure?.code], ['withdrawn', 'identity_missing'])
      await clock.advance(3_600_000)
      for (const state of states) if (state.status === 'ready') assert.equal(state.value.svid.spiffeId, id('web'), 'it became somebody else')
      await offer(...names)
      await clock.advance(1_000)
      assert.deepEqual([status(), spiffeId(), source.current.failure], ['ready', id('web'), undefined])
    })

  test('is withdrawn in time although the others change meanwhile', async (t) => {
    const { offer, clock, status } = await ready(t)
    await offer('api')
    await clock.advance(14_000)
    await offer('api', 'db')
    await clock.advance(4_000)
    assert.equal(status(), 'withdrawn')
  })

  test('and an agent that then denies everything are one denial', async (t) => {
    const { offer, all, clock, status } = await ready(t)
    await offer('api')
    await clock.advance(10_000)
    all(deny)
    await clock.advance(7_500)
    assert.equal(status(), 'withdrawn')
  })

  test('is kept when it comes back within 15 s', async (t) => {
    const { offer, clock, status, source } = await ready(t)
    await offer('api')
    await clock.advance(14_000)
    await offer('web', 'api')
    await clock.advance(60_000)
    assert.deepEqual([status(), source.current.failure], ['ready', undefined])
  })
})

test('silence and denial are told apart, each with what to do about it', async (t) => {
  const { agent, clock, source } = startX509(t)
  await clock.advance(10_000)
  const silent = source.current.failure
  assert.equal(silent?.code, 'workload_api_silent')
  deny(agent())
  await clock.settle()
  const denied = source.current.failure
  assert.equal(denied?.code, 'identity_not_issued')
  assert.notEqual(silent.remedy, denied.remedy)
  for (const failure of [silent, denied]) assert.match(failure.message, /unix:\/\/\/run\/agent\.sock/)
})
