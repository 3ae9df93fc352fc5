// Bundles come as a whole: each message replaces all of them, a bad one none, and equal ones wake nobody.
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import type { FailureCode } from '../../src/core/errors.ts'
import { createJwtBundleSource, createX509BundleSource } from '../../src/identity/workload-api/bundle-source.ts'
import { type Bundles, deny, gone } from './scripted-api.ts'
import { createIssuer, setup } from './setup.ts'

type Kind = 'x509' | 'jwt'

async function start(t: TestContext, kind: Kind) {
  const world = setup(t)
  const { clock, api, options } = world
  const made = kind === 'x509' ? createX509BundleSource(options) : createJwtBundleSource(options)
  const { source, run } = made as ReturnType<typeof createX509BundleSource>
  world.start(run)
  await clock.settle()
  const { authority } = await createIssuer(clock)
  await authority.rotate()
  const { keys } = await authority.jwks()
  const jwks = (list: object[]) => Buffer.from(JSON.stringify({ keys: list }))
  const [one, turned, none, bad] =
    kind === 'x509'
      ? [Buffer.concat(authority.bundle()), Buffer.concat(authority.bundle().toReversed()), Buffer.alloc(0), Buffer.from('x')]
      : [jwks(keys), jwks(keys.toReversed()), jwks([]), Buffer.from('x')]
  const streams = kind === 'x509' ? api.x509Bundle : api.jwtBundle
  return {
    ...world,
    source,
    streams,
    /** A bundle, the same in another order, an empty one, and none. */
    one,
    turned,
    none,
    bad,
    send: async (bundles: Bundles) => {
      streams.last.send(bundles)
      await clock.advance(1_000)
    },
    names: () => (source.current.status === 'ready' ? [...source.current.value.keys()].sort() : undefined),
  }
}

for (const kind of ['x509', 'jwt'] as const)
  describe(`${kind === 'x509' ? 'X.509' : 'JWT'} bundles`, () => {
    test('are shown with the first message, by trust domain, under a name or an ID', async (t) => {
      const { one, none, send, names, of, source } = await start(t, kind)
      await send({ 'example.org': one, 'spiffe://other.example': none })
      assert.deepEqual(names(), ['example.org', 'other.example'])
      assert.deepEqual(
        of('bundles.updated').map(({ trustDomains }) => trustDomains),
        [['example.org', 'other.example']],
      )
      assert.equal(source.current.failure, undefined)
    })

    test('that are no longer listed are gone', async (t) => {
      const { one, send, names } = await start(t, kind)
      await send({ a: one, b: one })
      await send({ b: one })
      assert.deepEqual(names(), ['b'])
    })

    test('are never merged', async (t) => {
      const { one, none, send, source } = await start(t, kind)
      await send({ a: one, b: none })
      assert.ok(source.current.status === 'ready')
      const sizes = [...source.current.value.values()].map((bundle) =>
        'authorities' in bundle ? bundle.authorities.length : (bundle as { keys: Map<string, unknown> }).keys.size,
      )
      assert.deepEqual(sizes, [2, 0])
    })

    test('sent again, in another order too, publish nothing', async (t) => {
      const { one, turned, none, send, source, of } = await start(t, kind)
      await send({ a: one, b: none })
      const state = source.current
      await send({ a: one, b: none })
      await send({ b: none, a: turned })
      assert.equal(source.current, state)
      assert.equal(of('bundles.updated').length, 1)
      await send({ a: none, b: one })
      assert.equal(of('bundles.updated').length, 2)
    })

    test('may be empty, which is not the same as missing', async (t) => {
      const { one, none, send, names, of } = await start(t, kind)
      await send({ a: one })
      await send({ a: none })
      assert.deepEqual(names(), ['a'])
      assert.equal(of('bundles.updated').length, 2)
    })

    test('stay as they are when a message cannot be used, until the next good one', async (t) => {
      const { one, bad, send, source, of, streams } = await start(t, kind)
      await send({ a: one })
      const value = source.current.status === 'ready' && source.current.value
      const wrong: [Bundles, FailureCode][] = [
        [{ a: one, b: bad }, kind === 'x509' ? 'x509_bundle_invalid' : 'jwt_bundle_invalid'],
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
    test('stay as they are when a message has none at all', async (t) => {
      const { one, send, names, of } = await start(t, kind)
      await send({ a: one })
      await send({})
      assert.deepEqual(names(), ['a'])
      assert.equal(of('identity.rejected').length, 1)
    })

    test('stay while the agent is away, and are withdrawn when it denies us for 15 s', async (t) => {
      const { one, send, source, streams, clock } = await start(t, kind)
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

    test('have a stream of their own and only one', async (t) => {
      const { api, one, send, streams, clock } = await start(t, kind)
      await send({ a: one })
      for (let time = 0; time < 5; time++) {
        streams.last.end()
        await clock.advance(2_000)
      }
      assert.equal(streams.most, 1)
      assert.equal(api.x509.all.length, 0)
      assert.equal(api.x509Bundle.all.length + api.jwtBundle.all.length, streams.all.length)
    })
  })

test('a trust domain called __proto__ is one among others', async (t) => {
  const { one, send, names } = await start(t, 'jwt')
  await send(
    Object.fromEntries([
      ['__proto__', one],
      ['a', one],
    ]),
  )
  assert.deepEqual(names(), ['__proto__', 'a'])
})
