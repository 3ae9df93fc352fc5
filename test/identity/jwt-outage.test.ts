// A watched token while the agent fails: it stays to its end and not longer, and a denial takes it away sooner.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { compact, startJwt } from './jwt-setup.ts'
import { deny, gone } from './scripted-api.ts'

describe('while the agent fails', () => {
  for (const [what, fail, code] of [
    ['is away', gone, 'workload_api_unreachable'],
    ['cannot sign', (call: { fail(code: number): void }) => call.fail(14), 'workload_api_unavailable'],
    ['is silent', () => {}, undefined],
  ] as const)
    test(`because it ${what}, the token stays to its end, and not longer`, async (t) => {
      const { source, api, clock, give, gaps } = startJwt(t)
      give({ life: 300 })
      const watched = source.watch(['x'])
      await clock.settle()
      const token = compact(watched.current)
      api.scriptJwt(fail)
      await clock.advance(299_999)
      assert.deepEqual([compact(watched.current), watched.current.failure?.code], [token, code])
      await clock.advance(1)
      assert.deepEqual([watched.current.status, compact(watched.current)], ['waiting', undefined])
      await clock.advance(1_000)
      assert.ok(watched.current.failure)
      assert.ok(
        gaps()
          .slice(1)
          .every((gap) => gap >= 49 || gap === 0),
      )
      give({ life: 300 })
      if (what === 'is silent') api.jwtCalls.at(-1)?.fail(14)
      await clock.advance(3_000)
      assert.deepEqual([watched.current.status, watched.current.failure], ['ready', undefined])
    })

  test('because it denies us, that is visible at once and withdraws the token after 15 s', async (t) => {
    const { source, api, clock, give } = startJwt(t)
    give({ life: 300 })
    const watched = source.watch(['x'])
    await clock.settle()
    api.scriptJwt(deny)
    await clock.advance(150_001)
    assert.deepEqual([watched.current.status, watched.current.failure?.code], ['ready', 'identity_not_issued'])
    await clock.advance(14_000)
    assert.equal(watched.current.status, 'ready')
    await clock.advance(3_500)
    assert.deepEqual([watched.current.status, watched.current.failure?.code], ['withdrawn', 'identity_not_issued'])
  })

  test('a withdrawn token stays withdrawn for its reason at its end', async (t) => {
    const { source, api, clock, give } = startJwt(t)
    give({ life: 300 })
    const watched = source.watch(['x'])
    await clock.settle()
    api.scriptJwt(deny)
    await clock.advance(200_000)
    assert.equal(watched.current.status, 'withdrawn')
    await clock.advance(110_000)
    assert.deepEqual([watched.current.status, watched.current.failure?.code], ['withdrawn', 'identity_not_issued'])
    give({ life: 300 })
    await clock.advance(3_000)
    assert.deepEqual([watched.current.status, watched.current.failure], ['ready', undefined])
  })

  test('a denied token that never was there is waited for', async (t) => {
    const { source, api, clock } = startJwt(t)
    api.scriptJwt(deny)
    const watched = source.watch(['x'])
    await clock.advance(60_000)
    assert.deepEqual([watched.current.status, watched.current.failure?.code], ['waiting', 'identity_not_issued'])
  })
})

test('a suspend over the end gives the token up at once', async (t) => {
  const { source, api, clock, give } = startJwt(t)
  give({ life: 300 })
  const watched = source.watch(['x'])
  await clock.advance(1_000)
  api.scriptJwt(gone)
  clock.suspend(600_000)
  await clock.advance(1)
  assert.notEqual(watched.current.status, 'ready')
})

describe('after the end of the task', () => {
  for (const [when, script] of [
    ['with a token', undefined],
    ['with a silent agent', () => {}],
    ['between attempts', gone],
  ] as const)
    test(`${when}, no timer and no call is left, and none begins`, async (t) => {
      const { source, api, clock, give, stop } = startJwt(t)
      if (script) api.scriptJwt(script)
      else give({})
      source.watch(['x'])
      source.watch(['y'])
      await clock.advance(3_000)
      await stop() // looks for what is left
      const { length } = api.jwtCalls
      source.watch(['z'])
      await clock.advance(600_000)
      assert.deepEqual([api.jwtCalls.length, clock.sleeping], [length, 0])
    })
})
