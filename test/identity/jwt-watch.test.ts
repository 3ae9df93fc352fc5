// A watched token is renewed at half of its life, shared by its readers, and given up at its end.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { untilRenewal } from '../../src/identity/workload-api/jwt-source.ts'
import { compact, startJwt } from './jwt-setup.ts'
import { id } from './setup.ts'

const none = new AbortController().signal

describe('watching', () => {
  test('waits for the task, and then has a token at once', async (t) => {
    const { source, api, clock, give, startTask } = startJwt(t, { run: false })
    give({})
    const watched = source.watch(['x'])
    await clock.advance(60_000)
    assert.deepEqual([watched.current.status, api.jwtCalls.length], ['waiting', 0])
    startTask()
    await clock.settle()
    assert.deepEqual([watched.current.status, api.jwtCalls.length], ['ready', 1])
  })

  test('while the task runs begins at once', async (t) => {
    const { source, clock, give } = startJwt(t)
    give({})
    await clock.settle()
    const watched = source.watch(['x'])
    const next = watched.next(watched.current, none)
    await clock.settle()
    assert.equal((await next).status, 'ready')
  })

  test('one audience is one call, for however many readers, in whatever order they name it', async (t) => {
    const { source, api, clock, give } = startJwt(t)
    give({ audience: ['x', 'y'] })
    const sources = [source.watch(['x', 'y']), source.watch(['y', 'x']), source.watch(['x', 'y'])]
    await clock.advance(1_000)
    assert.equal(api.jwtCalls.length, 1)
    assert.equal(new Set(sources.map(({ current }) => current)).size, 1)
  })

  test('other audiences are other tokens, also when their names have blanks', async (t) => {
    const { source, api, token, clock } = startJwt(t)
    api.scriptJwt((call) => call.answer(token({ audience: call.audience })))
    const audiences = [['x'], ['x', 'y'], ['x y'], ['y']]
    const sources = audiences.map((audience) => source.watch(audience))
    await clock.settle()
    const got = sources.map(({ current }) => current.status === 'ready' && current.value.audience)
    assert.deepEqual(got, audiences)
  })

  test('what nobody wants any more is asked for no more, and the rest goes on as it was', async (t) => {
    const { source, api, token, clock } = startJwt(t)
    api.scriptJwt((call) => call.answer(token({ audience: call.audience })))
    const kept = source.watch(['x', 'y'])
    source.watch(['z'])
    await clock.settle()
    const { current } = kept
    source.retain([['y', 'x']])
    await clock.settle()
    assert.equal(kept.current, current)
    await clock.advance(3_600_000)
    const asked = api.jwtCalls.slice(2).map(({ audience }) => audience.join(' '))
    assert.ok(asked.length > 2 && asked.every((one) => one === 'x y'), asked.join())
    // Whoever wants it again has it again.
    const again = source.watch(['z'])
    await clock.settle()
    assert.equal(again.current.status, 'ready')
  })

  test('asks for the chosen identity', async (t) => {
    const { source, clock, give, choice, call } = startJwt(t)
    choice.pick([{ spiffe_id: id('web'), hint: '' }])
    give({})
    source.watch(['x'])
    await clock.settle()
    assert.equal(call().spiffeId, id('web'))
  })
})

describe('a token is renewed', () => {
  for (const [jitter, after] of [
    [0, 150_000],
    [0.5, 135_000],
    [0.999, 120_030],
  ] as const)
    test(`at half of its life less ${jitter * 10} %`, async (t) => {
      const { source, api, clock, give } = startJwt(t, { random: () => jitter })
      give({ life: 300 })
      const watched = source.watch(['x'])
      await clock.settle()
      const first = compact(watched.current)
      await clock.advance(after - 1)
      assert.equal(api.jwtCalls.length, 1)
      await clock.advance(1)
      assert.equal(api.jwtCalls.length, 2)
      assert.notEqual(compact(watched.current), first)
      assert.equal(watched.current.status, 'ready')
    })

  test('by its own age, because it may arrive used', async (t) => {
    const { source, api, clock, give } = startJwt(t)
    give({ life: 300, age: 100 })
    source.watch(['x'])
    await clock.advance(49_999)
    assert.equal(api.jwtCalls.length, 1)
    await clock.advance(1)
    assert.equal(api.jwtCalls.length, 2)
  })

  test('by what is left of it when it does not say its age, or says nonsense', () => {
    const now = 1_000_000
    const at = (issuedAt: number | undefined) => untilRenewal({ issuedAt, expiresAt: now + 100_000 } as Parameters<typeof untilRenewal>[0], now, () => 0)
    assert.equal(at(undefined), 50_000)
    assert.equal(at(now + 3_600_000), 50_000)
    assert.equal(at(now), 50_000)
    assert.equal(at(now - 100_000), 1_000)
    assert.equal(at(0), 1_000)
  })

  test('without haste, however short its life is', async (t) => {
    const lives = [{ life: 1 }, { life: 1.5 }, { life: 300, age: 299 }, { life: 300, age: 300 }, { life: 1, age: 50 }]
    for (const content of lives) {
      const { source, api, clock, give, stop } = startJwt(t)
      give(content)
      source.watch(['x'])
      await clock.advance(30_000)
      const most = (content.age ?? 0) < content.life ? 63 : 600
      assert.ok(api.jwtCalls.length <= most, `${api.jwtCalls.length} calls in 30 s for ${JSON.stringify(content)}`)
      await stop()
    }
  })
})

describe('an agent that goes on giving the same token', () => {
  test('is asked again after a twentieth of its life, with no second call in a second', async (t) => {
    const { source, api, clock, token, give, gaps } = startJwt(t)
    give([token({ life: 300 })])
    source.watch(['x'])
    await clock.advance(299_000)
    assert.deepEqual(gaps().slice(0, 4), [150_000, 15_000, 15_000, 15_000])
    assert.ok(Math.min(...gaps()) >= 1_000)
    assert.ok(api.jwtCalls.length <= 12, `${api.jwtCalls.length}`)
  })

  test('publishes it once', async (t) => {
    const { source, clock, token, give } = startJwt(t)
    give([token({ life: 300 })])
    const watched = source.watch(['x'])
    await clock.settle()
    const state = watched.current
    await clock.advance(290_000)
    assert.equal(watched.current, state)
  })

  test('until it gives another', async (t) => {
    const { source, clock, token, give } = startJwt(t)
    give([token({ life: 300 })])
    const watched = source.watch(['x'])
    await clock.advance(200_000)
    const next = token({ life: 300 })
    give([next])
    await clock.advance(40_000)
    assert.equal(compact(watched.current), next.svid)
  })

  test('cannot keep it alive beyond its end', async (t) => {
    for (const life of [300, 299.5, 10, 1.4]) {
      const { source, clock, token, give, stop } = startJwt(t)
      give([token({ life })])
      const watched = source.watch(['x'])
      await clock.advance(life * 1000 - 1)
      assert.equal(watched.current.status, 'ready', `before the end of ${life} s`)
      for (let step = 0; step < 200; step++) {
        await clock.advance(25)
        assert.notEqual(watched.current.status, 'ready', `${step * 25} ms after the end of ${life} s`)
      }
      assert.equal(watched.current.failure?.code, 'jwt_svid_expired')
      await stop()
    }
  })
})
