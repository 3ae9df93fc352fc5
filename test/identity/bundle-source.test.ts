// Bundles come as a whole: each message replaces all of them, a bad one none, and equal ones wake nobody.
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { FailureCode } from '../../src/core/errors.ts'
import { createJwtBundleSource } from '../../src/identity/workload-api/bundle-source.ts'
import { type Bundles, deny, gone } from './scripted-api.ts'
import { createIssuer, setup } from './setup.ts'

async function start(t: TestContext) {
  const world = setup(t)
  const { clock, api, options } = world
  const { source, run } = createJwtBundleSource(options)
  world.start(run)
  await clock.settle()
  const { authority } = await createIssuer(clock)
  await authority.rotate()
  const { keys } = await authority.jwks()
  const jwks = (list: object[]) => Buffer.from(JSON.stringify({ keys: list }))
  const streams = api.jwtBundle
  return {
    ...world,
    source,
    streams,
    /** A bundle, the same in another order, an empty one, and none. */
    one: jwks(keys),
    turned: jwks(keys.toReversed()),
    none: jwks([]),
    bad: Buffer.from('x'),
    send: async (bundles: Bundles) => {
      streams.last.send(bundles)
      await clock.advance(1_000)
    },
    names: () => (source.current.status === 'ready' ? [...source.current.value.keys()].sort() : undefined),
  }
}

test('JWT bundles are shown with the first message, by trust domain, under a name or an ID', async (t) => {
  const { one, none, send, names, of, source } = await start(t)
  await send({ 'example.org': one, 'spiffe://other.example': none })
  assert.deepEqual(names(), ['example.org', 'other.example'])
  assert.deepEqual(
    of('bundles.updated').map(({ trustDomains }) => trustDomains),
    [['example.org', 'other.example']],
  )
  assert.equal(source.current.failure, undefined)
})

test('JWT bundles that are no longer listed are gone', async (t) => {
  const { one, send, names } = await start(t)
  await send({ a: one, b: one })
  await send({ b: one })
  assert.deepEqual(names(), ['b'])
})

test('JWT bundles are never merged', async (t) => {
  const { one, none, send, source } = await start(t)
  await send({ a: one, b: none })
  assert.ok(source.current.status === 'ready')
  const sizes = [...source.current.value.values()].map(({ keys }) => keys.size)
  assert.deepEqual(sizes, [2, 0])
})

test('JWT bundles sent again, in another order too, publish nothing', async (t) => {
  const { one, turned, none, send, source, of } = await start(t)
  await send({ a: one, b: none })
  const state = source.current
  await send({ a: one, b: none })
  await send({ b: none, a: turned })
  assert.equal(source.current, state)
  assert.equal(of('bundles.updated').length, 1)
  await send({ a: none, b: one })
  assert.equal(of('bundles.updated').length, 2)
})

test('JWT bundles may be empty, which is not the same as missing', async (t) => {
  const { one, none, send, names, of } = await start(t)
  await send({ a: one })
  await send({ a: none })
  assert.deepEqual(names(), ['a'])
  assert.equal(of('bundles.updated').length, 2)
})

test('JWT bundles stay as they are when a message cannot be used, until the next good one', async (t) => {
  const { one, bad, send, source, of, streams } = await start(t)
  await send({ a: one })
  const value = source.current.status === 'ready' && source.current.value
  const wrong: [Bundles, FailureCode][] = [
    [{ a: one, b: bad }, 'jwt_bundle_invalid'],
    [{ 'spiffe://a/web': one }, 'spiffe_id_invalid'],
  ]
  for (const [message, code] of wrong) {
    await send(message)
    assert.ok(source.current.status === 'ready')
    assert.deepEqual([source.current.value, source.current.failure?.code], [value, code])
  }
  assert.equal(of('identity.rejected').length, 2)
  await send({ a: one })
  assert.equal(source.current.failure, undefined)
  assert.equal(streams.all.length, 1)
})

// Workload API 4.5: `bundles` is mandatory, and a message whose mandatory field is empty is discarded.
test('JWT bundles stay as they are when a message has none at all', async (t) => {
  const { one, send, names, of } = await start(t)
  await send({ a: one })
  await send({})
  assert.deepEqual(names(), ['a'])
  assert.equal(of('identity.rejected').length, 1)
})

test('JWT bundles stay while the agent is away, and are withdrawn when it denies us for 15 s', async (t) => {
  const { one, send, source, streams, clock } = await start(t)
  await send({ a: one })
  streams.script(gone)
  gone(streams.last)
  await clock.advance(60_000)
  assert.deepEqual([source.current.status, source.current.failure?.code], ['ready', 'workload_api_unreachable'])
  streams.script(deny)
  await clock.advance(14_000)
  assert.deepEqual([source.current.status, source.current.failure?.code], ['ready', 'identity_not_issued'])
  await clock.advance(4_000)
  assert.equal(source.current.status, 'withdrawn')
  streams.script((stream) => stream.send({ a: one }))
  await clock.advance(3_000)
  assert.deepEqual([source.current.status, source.current.failure], ['ready', undefined])
})

test('JWT bundles have a stream of their own and only one', async (t) => {
  const { api, one, send, streams, clock } = await start(t)
  await send({ a: one })
  for (let time = 0; time < 5; time++) {
    streams.last.end()
    await clock.advance(2_000)
  }
  assert.equal(streams.most, 1)
  assert.equal(api.x509.all.length, 0)
  assert.equal(api.x509Bundle.all.length, 0)
})

test('a trust domain called __proto__ is one among others', async (t) => {
  const { one, send, names } = await start(t)
  await send(
    Object.fromEntries([
      ['__proto__', one],
      ['a', one],
    ]),
  )
  assert.deepEqual(names(), ['__proto__', 'a'])
})
