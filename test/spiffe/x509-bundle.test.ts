// X.509 bundles are sets of authorities by trust domain: never merged, and equal in whatever order they come.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { systemClock } from '../../src/core/clock.ts'
import { isFailure } from '../../src/core/errors.ts'
import { parseTrustDomain } from '../../src/spiffe/spiffe-id.ts'
import { parseX509Bundle } from '../../src/spiffe/x509-bundle.ts'
import { parseX509Bundles } from '../../src/spiffe/x509-context.ts'
import { createAuthority } from '../support/dev/authority.ts'
import { authority, newKey, newRsaKey } from './certificates.ts'

const trustDomain = parseTrustDomain('example.org')
const pool = [authority(), authority(), authority({ key: newKey('P-384') }), authority({ key: newRsaKey() })]
const none = Buffer.alloc(0)
const digest = (...parts: Buffer[]) => parseX509Bundle(trustDomain, Buffer.concat(parts)).digest
const failed = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(isFailure(error), `not a Failure: ${String(error)}`)
  assert.equal(error.code, code)
  assert.match(error.message, message)
  return true
}

test('a bundle has the same digest in every order of its authorities', () => {
  fc.assert(
    fc.property(fc.shuffledSubarray(pool, { minLength: 1 }), (chosen) => {
      assert.equal(digest(...chosen), digest(...chosen.toReversed()))
      assert.equal(digest(...chosen), digest(...pool.filter((one) => chosen.includes(one))))
    }),
  )
})

test('two bundles that differ in one authority have different digests', () => {
  const subsets = Array.from({ length: 2 ** pool.length }, (_, mask) => pool.filter((__, bit) => mask & (1 << bit)))
  assert.equal(new Set(subsets.map((subset) => digest(...subset))).size, subsets.length)
})

test('an authority that comes twice is no other bundle', () => {
  const [one, other] = pool
  assert.ok(one && other)
  assert.equal(digest(one, one, other), digest(one, other))
})

test('an empty bundle is a bundle, which trusts nothing', () => {
  const empty = parseX509Bundle(trustDomain, none)
  assert.deepEqual(empty.authorities, [])
  assert.equal(empty.trustDomain, 'example.org')
  assert.notEqual(empty.digest, digest(pool[0] ?? none))
})

test('a bundle that is none says whose it is', () => {
  const invalid = failed('x509_bundle_invalid', /example\.org: certificate 1/)
  for (const bytes of ['not a certificate', '\0', '0', '-----BEGIN CERTIFICATE-----\n'])
    assert.throws(() => parseX509Bundle(trustDomain, Buffer.from(bytes)), invalid)
  assert.throws(() => parseX509Bundle(trustDomain, Buffer.concat([...pool, Buffer.from('30', 'hex')])), failed('x509_bundle_invalid', /certificate 5/))
})

describe('a map of bundles', () => {
  const [one = none, other = none] = pool

  test('has bare names and SPIFFE IDs as its keys', () => {
    const bundles = parseX509Bundles([
      ['one.example', one],
      ['spiffe://other.example', other],
    ])
    assert.deepEqual([...bundles.keys()], ['one.example', 'other.example'])
    for (const [name, bundle] of bundles) assert.equal(bundle.trustDomain, name)
    assert.deepEqual(
      bundles.get(parseTrustDomain('other.example'))?.authorities.map(({ raw }) => raw),
      [other],
    )
  })

  test('keeps each trust domain apart, one without authorities too', () => {
    const bundles = parseX509Bundles([
      ['a', one],
      ['b', other],
      ['c', none],
    ])
    assert.deepEqual(
      [...bundles.values()].map(({ authorities }) => authorities.length),
      [1, 1, 0],
    )
  })

  test('takes __proto__ and constructor for the names that they are', () => {
    const entries = Object.entries(JSON.parse('{"__proto__":1,"constructor":1,"tostring":1}') as object)
    const bundles = parseX509Bundles(entries.map(([name]) => [name, one] as const))
    assert.deepEqual([...bundles.keys()], ['__proto__', 'constructor', 'tostring'])
  })

  test('is refused when one key is no trust domain or one bundle is none', () => {
    for (const key of ['', 'spiffe://', 'Example.org', 'spiffe://td/web', 'td/', 'http://td'])
      assert.throws(
        () =>
          parseX509Bundles([
            ['good', one],
            [key, other],
          ]),
        failed('spiffe_id_invalid', /./),
      )
    assert.throws(
      () =>
        parseX509Bundles([
          ['good', one],
          ['bad', Buffer.from('x')],
        ]),
      failed('x509_bundle_invalid', /bundle of bad/),
    )
  })

  test('has at most 1000 trust domains, each with at most 4 MiB', () => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => [`td${index}`, none] as const)
    assert.equal(parseX509Bundles(many(1000)).size, 1000)
    assert.throws(() => parseX509Bundles(many(1001)), failed('workload_api_too_large', /1001 bundles/))
    const limit = 4 << 20
    const refused = (bytes: number, code: string, message: RegExp) =>
      assert.throws(() => parseX509Bundles([['td', Buffer.alloc(bytes)]]), failed(code, message))
    refused(limit, 'x509_bundle_invalid', /certificate 1/)
    refused(limit + 1, 'workload_api_too_large', /4194305 bytes of bundle for td.* 4194304/)
  })
})

test('the bundle of a rotated authority has both roots, in the order sent', async () => {
  const signing = await createAuthority({ trustDomain: 'example.org', clock: systemClock })
  const before = digest(...signing.bundle())
  await signing.rotate()
  const after = parseX509Bundle(trustDomain, Buffer.concat(signing.bundle()))
  assert.deepEqual(
    after.authorities.map(({ raw }) => raw),
    signing.bundle(),
  )
  assert.notEqual(after.digest, before)
})
