// A fetched token is one of now, for the audience that was asked for; whoever asks waits until there is one.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { startJwt } from './jwt-setup.ts'
import { deny, gone } from './scripted-api.ts'
import { id } from './setup.ts'

const signal = () => new AbortController().signal

/** What a promise has come to, without waiting for it. */
function watching<T>(promise: Promise<T>) {
  const seen: { value?: T; error?: unknown; settled: boolean } = { settled: false }
  promise.then(
    (value) => Object.assign(seen, { value, settled: true }),
    (error: unknown) => Object.assign(seen, { error, settled: true }),
  )
  return seen
}

test('gives what the agent gave, as plain facts and a secret', async (t) => {
  const { source, api, token, clock, of } = startJwt(t, { run: false })
  const answer = token({ audience: ['x', 'y'], claims: { iss: 'https://issuer' } })
  api.scriptJwt((call) => call.answer(answer))
  const { compact, ...facts } = await source.fetch(['x', 'y'], signal())
  assert.equal(compact.reveal(), answer.svid)
  assert.deepEqual(facts, {
    subject: id('web'),
    issuer: 'https://issuer',
    audience: ['x', 'y'],
    algorithm: 'ES256',
    issuedAt: clock.now(),
    expiresAt: clock.now() + 300_000,
  })
  assert.deepEqual(
    api.jwtCalls.map(({ audience, spiffeId }) => [audience, spiffeId]),
    [[['x', 'y'], undefined]],
  )
  assert.deepEqual(
    of('jwt.fetched').map(({ audience, spiffeId }) => [audience, spiffeId]),
    [['x y', id('web')]],
  )
})

test('asks the agent each time', async (t) => {
  const { source, api, give } = startJwt(t, { run: false })
  give({})
  const tokens = [await source.fetch(['x'], signal()), await source.fetch(['x'], signal())]
  assert.notEqual(tokens[0]?.compact.reveal(), tokens[1]?.compact.reveal())
  assert.equal(api.jwtCalls.length, 2)
})

describe('means the same workload as the X.509 source', () => {
  test('by asking for the identity that was chosen', async (t) => {
    const { source, api, give, choice } = startJwt(t, { run: false })
    choice.pick([{ spiffe_id: id('web'), hint: '' }])
    give({})
    await source.fetch(['x'], signal())
    assert.equal(api.jwtCalls[0]?.spiffeId, id('web'))
  })

  test('by choosing the first one for it, too', async (t) => {
    const { source, api, token, choice } = startJwt(t, { run: false })
    api.scriptJwt((call) => call.answer(token({ name: 'api' }), token({ name: 'web' })))
    assert.equal((await source.fetch(['x'], signal())).subject, id('api'))
    assert.equal(choice.spiffeId, id('api'))
  })

  test('by its hint among all that the agent gives', async (t) => {
    const { source, api, token } = startJwt(t, { run: false, wanted: { hint: 'h' } })
    api.scriptJwt((call) => call.answer(token({ name: 'api' }), token({ name: 'web=h' }), token({ name: 'db=h' })))
    assert.equal((await source.fetch(['x'], signal())).subject, id('web'))
    assert.equal(api.jwtCalls[0]?.spiffeId, undefined)
  })

  test('and by no other, however long it takes', async (t) => {
    const wanted = { spiffeId: parseSpiffeId(id('web')) }
    const { source, clock, give, of } = startJwt(t, { run: false, wanted })
    give({ name: 'api' })
    const fetched = watching(source.fetch(['x'], signal()))
    await clock.advance(60_000)
    assert.equal(fetched.settled, false)
    assert.equal(of('identity.failing')[0]?.failure.code, 'identity_missing')
    give({ name: 'web' })
    await clock.advance(3_000)
    assert.equal(fetched.value?.subject, id('web'))
  })
})

describe('waits', () => {
  for (const [what, fail] of [
    ['an agent that is away', gone],
    ['a denial', deny],
    ['an agent that cannot sign', (call: { fail(code: number): void }) => call.fail(14)],
    ['a server that cancels', (call: { fail(code: number): void }) => call.fail(1)],
  ] as const)
    test(`through ${what}, and asks at most 20 times a second`, async (t) => {
      const { source, api, clock, give, gaps, call } = startJwt(t, { run: false })
      api.scriptJwt(fail)
      const fetched = watching(source.fetch(['x'], signal()))
      await clock.advance(120_000)
      assert.equal(fetched.settled, false)
      assert.ok(Math.min(...gaps()) >= 50 && Math.max(...gaps()) <= 2_500)
      give({})
      await clock.advance(2_500)
      assert.ok(fetched.value)
      assert.equal(call().pending, false)
    })

  test('through a rejected request, with at most 2 calls in 5 s', async (t) => {
    const { source, api, clock, gaps } = startJwt(t, { run: false })
    api.scriptJwt((call) => call.fail(3))
    const controller = new AbortController()
    const fetched = watching(source.fetch(['x'], controller.signal))
    await clock.advance(200_000)
    assert.ok(api.jwtCalls.length >= 2 && Math.min(...gaps()) >= 5_000)
    controller.abort(new Error('enough'))
    await clock.settle()
    assert.equal((fetched.error as Error).message, 'enough')
  })

  const useless: Record<string, Parameters<ReturnType<typeof startJwt>['give']>[0]> = {
    'no token at all': [],
    'a token for another audience': { audience: ['y'] },
    'a token for a part of the audience': { audience: ['x'] },
    'a token of somebody else': { claims: { sub: id('other') } },
    'a token without an end': { claims: { exp: undefined } },
    'no token but another text': [{ spiffe_id: id('web'), hint: '', svid: 'x.y.z' }],
  }
  for (const [what, content] of Object.entries(useless))
    test(`through ${what}, which nobody gets to see`, async (t) => {
      const { source, clock, give, api, of } = startJwt(t, { run: false })
      give(content)
      const fetched = watching(source.fetch(['x', 'z'], signal()))
      await clock.advance(10_000)
      assert.equal(fetched.settled, false)
      assert.ok(api.jwtCalls.length <= 200)
      assert.match(of('identity.failing')[0]?.failure.code ?? '', /^jwt_svid_(invalid|expired)$|^identity_missing$/)
      assert.equal(of('jwt.fetched').length, 0)
      give({ audience: ['z', 'x'] })
      await clock.advance(2_500)
      assert.ok(fetched.value)
      assert.deepEqual(of('identity.recovered').length, 1)
    })
})

test('names the audience that a token lacks', async (t) => {
  const { source, clock, give, of } = startJwt(t, { run: false })
  give({ audience: ['x'] })
  watching(source.fetch(['x', 'sts.amazonaws.com'], signal()))
  await clock.advance(100)
  assert.match(of('identity.failing')[0]?.failure.message ?? '', /sts\.amazonaws\.com/)
})

test('no event carries a token, not even that of a token that cannot be used', async (t) => {
  const { source, clock, api, token, give, events } = startJwt(t)
  const tokens = [token({ audience: ['y'] }), token({ claims: { exp: undefined } }), token({ name: 'web', claims: { sub: 'x' } }), token({})]
  source.watch(['x'])
  for (const one of tokens) {
    give([one])
    watching(source.fetch(['x'], signal()))
    await clock.advance(3_000)
  }
  assert.ok(events.length >= 4 && api.jwtCalls.length >= 4)
  const text = inspect(events, { depth: 9, showHidden: true, maxArrayLength: null, maxStringLength: null })
  for (const { svid } of tokens) for (const part of svid.split('.').slice(0, 2)) assert.ok(!text.includes(part))
})

test('each failure is told with what this very process can do about it', async (t) => {
  const { source, clock, api, of } = startJwt(t, { run: false })
  api.scriptJwt(deny)
  watching(source.fetch(['x'], signal()))
  await clock.advance(100)
  assert.deepEqual(
    of('identity.failing').map(({ failure, stream }) => [failure.remedy, stream]),
    [['explained', 'jwt']],
  )
})

describe('the signal alone ends it, with its own reason,', () => {
  const reason = new Error('mine')
  for (const [when, prepare] of [
    ['while the agent is silent', () => {}],
    ['between two attempts', deny],
  ] as const)
    test(when, async (t) => {
      const { source, clock, api } = startJwt(t, { run: false })
      api.scriptJwt(prepare)
      const controller = new AbortController()
      const fetched = watching(source.fetch(['x'], controller.signal))
      await clock.advance(36_000)
      assert.equal(fetched.settled, false)
      controller.abort(reason)
      await clock.settle()
      assert.equal(fetched.error, reason)
      assert.deepEqual([clock.sleeping, api.jwtCalls.filter(({ pending }) => pending).length], [0, 0])
      const { length } = api.jwtCalls
      await clock.advance(120_000)
      assert.equal(api.jwtCalls.length, length)
    })

  test('before it has begun', async (t) => {
    const { source, api } = startJwt(t, { run: false })
    await assert.rejects(source.fetch(['x'], AbortSignal.abort(reason)), reason)
    assert.equal(api.jwtCalls.length, 0)
  })
})
