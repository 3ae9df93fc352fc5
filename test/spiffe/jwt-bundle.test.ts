// A JWT bundle is a JWKS without ceremony: SPIRE writes no `use`, in any order, and what is unknown is passed over.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { systemClock } from '../../src/core/clock.ts'
import { isFailure } from '../../src/core/errors.ts'
import { parseJwtBundle, parseJwtBundles } from '../../src/spiffe/jwt-bundle.ts'
import { parseTrustDomain } from '../../src/spiffe/spiffe-id.ts'
import { createAuthority } from '../support/dev/authority.ts'

const trustDomain = parseTrustDomain('example.org')
const ec = (kid?: unknown, extra: object = {}) => ({ kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid, ...extra })
const rsa = (kid?: unknown, extra: object = {}) => ({ kty: 'RSA', n: 'n', e: 'AQAB', kid, ...extra })
const bytes = (json: unknown) => Buffer.from(typeof json === 'string' ? json : JSON.stringify(json))
const parse = (json: unknown) => parseJwtBundle(trustDomain, bytes(json))
const kids = (keys: unknown[]) => [...parse({ keys }).keys.keys()]
const refused = (of: () => unknown, code: string, why: RegExp) =>
  assert.throws(of, (error: unknown) => {
    assert.ok(isFailure(error), `not a Failure: ${String(error)}`)
    assert.equal(error.code, code)
    assert.match(error.message, why)
    return true
  })

test('takes the keys of SPIRE, which carry no use', async () => {
  const authority = await createAuthority({ trustDomain: 'example.org', clock: systemClock })
  await authority.rotate()
  const { keys } = await authority.jwks()
  assert.equal(parse({ keys }).keys.size, 2)
  for (const key of keys as { kid: string }[]) assert.deepEqual({ ...parse({ keys }).keys.get(key.kid) }, key)
})

test('passes over keys for other uses, of unknown types and without an ID', () => {
  assert.deepEqual(kids([ec('a'), ec('b', { use: 'jwt-svid' }), rsa('c')]), ['a', 'b', 'c'])
  for (const use of ['x509-svid', 'wit-svid', 'sig', 'enc', '', 'JWT-SVID', null, 1, ['jwt-svid']])
    assert.deepEqual(kids([ec('a', { use }), ec('b')]), ['b'], `use ${JSON.stringify(use)}`)
  for (const kty of ['OKP', 'oct', 'ec', '', null, 1, undefined, ['EC'], ['RSA'], { toString: 'EC' }])
    assert.deepEqual(kids([ec('a', { kty }), ec('b')]), ['b'], `kty ${JSON.stringify(kty)}`)
  for (const kid of [undefined, '', null, 1, ['a'], {}]) assert.deepEqual(kids([ec(kid), ec('b')]), ['b'], `kid ${JSON.stringify(kid)}`)
  for (const other of [null, 1, 'EC', [], true, {}]) assert.deepEqual(kids([other, ec('b')]), ['b'])
})

test('an empty set trusts nothing, and so does one of which nothing is usable', () => {
  assert.equal(parse({ keys: [] }).keys.size, 0)
  assert.equal(parse({ keys: [ec('a', { use: 'x509-svid' })] }).keys.size, 0)
  assert.equal(parse({ keys: [] }).canonical, parse({ keys: [rsa()] }).canonical)
})

test('takes a JWKS with more than keys in it', () => {
  assert.equal(parse({ keys: [ec('a')], spiffe_sequence: 1, spiffe_refresh_hint: 300, x: [] }).keys.size, 1)
  assert.equal(parse(`{"spiffe_sequence":99999999999999999999,"keys":[]}`).keys.size, 0)
})

test('refuses what is not JSON or has no list of keys, and names the trust domain', () => {
  for (const text of ['', 'x', '{', '{"keys":[}', '\0', '{"keys":[]}x', '\ufeff{"keys":[]}'])
    refused(() => parse(text), 'jwt_bundle_invalid', /example\.org.*JSON/)
  for (const json of ['{}', '[]', '1', '"x"', 'null', 'true', '{"keys":{}}', '{"keys":null}', '{"keys":"x"}', '{"Keys":[]}'])
    refused(() => parse(json), 'jwt_bundle_invalid', /example\.org.*list of keys/)
})

describe('the canonical text', () => {
  const key = fc.tuple(fc.stringMatching(/^[a-zA-Z0-9_-]{1,8}$/), fc.boolean(), fc.dictionary(fc.string(), fc.string()))
  const keySet = fc
    .uniqueArray(key, { maxLength: 6, selector: ([kid]) => kid })
    .map((list) => list.map(([kid, isEc, extra]) => ({ ...extra, ...(isEc ? ec(kid) : rsa(kid)) }) as object))
  const turned = (json: object) => Object.fromEntries(Object.entries(json).toReversed())

  test('is equal in every order of keys and of members', () => {
    fc.assert(
      fc.property(
        keySet.chain((keys) => fc.tuple(fc.constant(keys), fc.shuffledSubarray(keys, { minLength: keys.length }))),
        ([keys, shuffled]) => {
          assert.equal(parse({ keys: shuffled.map(turned) }).canonical, parse({ keys }).canonical)
        },
      ),
    )
  })

  test('is equal in every order when two keys share an ID', () => {
    const [one, other, third] = [ec('a', { x: '1' }), ec('a', { x: '2' }), ec('a', { x: '3' })]
    const texts = [
      [one, other, third],
      [other, one, third],
      [third, other, one],
    ].map((keys) => parse({ keys }).canonical)
    assert.equal(new Set(texts).size, 1)
  })

  test('is another one for other keys', () => {
    const sets = [[], [ec('a')], [ec('b')], [rsa('a')], [ec('a'), ec('b')], [ec('a', { x: 'z' })], [ec('a', { alg: 'ES256' })]]
    assert.equal(new Set(sets.map((keys) => parse({ keys }).canonical)).size, sets.length)
  })

  test('is a JWKS of the same keys, in order of their IDs', () => {
    fc.assert(
      fc.property(keySet, (keys) => {
        const { canonical, keys: byId } = parse({ keys })
        const again = JSON.parse(canonical) as { keys: { kid: string }[] }
        assert.deepEqual(
          again.keys.map(({ kid }) => kid),
          [...byId.keys()],
        )
        assert.deepEqual(
          again.keys.map(({ kid }) => kid),
          [...byId.keys()].sort(),
        )
        assert.equal(parse(canonical).canonical, canonical)
        assert.equal(byId.size, keys.length)
      }),
    )
  })
})

describe('a map of JWT bundles', () => {
  const jwks = bytes({ keys: [ec('a')] })

  test('has bare names and SPIFFE IDs as its keys, __proto__ too', () => {
    const bundles = parseJwtBundles(Object.fromEntries(['a', 'spiffe://b', '__proto__'].map((name) => [name, jwks])))
    assert.deepEqual([...bundles.keys()], ['a', 'b', '__proto__'])
    for (const [name, bundle] of bundles) assert.equal(bundle.trustDomain, name)
    assert.equal(parseJwtBundles({}).size, 0)
  })

  test('is refused when one name or one bundle is wrong', () => {
    refused(() => parseJwtBundles({ a: jwks, 'spiffe://b/web': jwks }), 'spiffe_id_invalid', /spiffe:\/\/b\/web/)
    refused(() => parseJwtBundles({ a: jwks, b: Buffer.from('x') }), 'jwt_bundle_invalid', /bundle of b/)
  })
})

test('any bytes are a bundle or a Failure', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map(bytes),
        fc.jsonValue().map((keys) => bytes({ keys })),
      ),
      (jwks) => {
        try {
          parseJwtBundle(trustDomain, Buffer.from(jwks))
        } catch (error) {
          assert.ok(isFailure(error) && error.code === 'jwt_bundle_invalid', String(error))
        }
      },
    ),
    { numRuns: 500 },
  )
})
