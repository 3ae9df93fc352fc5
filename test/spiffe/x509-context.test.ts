// One message of the agent counts as a whole: every SVID and every bundle in it, or nothing.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isFailure } from '../../src/core/errors.ts'
import { parseTrustDomain } from '../../src/spiffe/spiffe-id.ts'
import { digestOfBundles } from '../../src/spiffe/x509-bundle.ts'
import { parseX509Context, type X509Context, type X509ContextMessage } from '../../src/spiffe/x509-context.ts'
import { alternativeNames, authority, goodLeafExtensions, leaf, message, uri } from './certificates.ts'

const root = authority()
const otherRoot = authority()
const none = Buffer.alloc(0)

type Svid = X509ContextMessage['svids'][number]
const svid = (name: string, change: Partial<Svid> = {}): Svid => {
  const spiffe_id = `spiffe://${name}`
  const extensions = [...goodLeafExtensions.slice(0, -1), alternativeNames(uri(spiffe_id))]
  return { ...message({ spiffe_id, x509_svid: leaf({ extensions }) }), bundle: root, ...change }
}
const web = svid('example.org/web', { hint: 'w' })
const api = svid('example.org/api')

const context = (svids: readonly Svid[], federated: Record<string, Buffer> = {}) => parseX509Context({ svids, federated_bundles: federated })
const digest = ({ bundles }: X509Context) => digestOfBundles(bundles, (bundle) => bundle.digest)

const refused = (of: () => unknown, code: string, why: RegExp = /./) =>
  assert.throws(of, (error: unknown) => {
    assert.ok(isFailure(error), `not a Failure: ${String(error)}`)
    assert.equal(error.code, code)
    assert.match(error.message, why)
    return true
  })
const trustDomains = (of: ReturnType<typeof context>) => [...of.bundles.keys()].sort()

test("keeps the agent's order and the hints", () => {
  const parsed = context([web, api])
  assert.deepEqual(
    parsed.svids.map(({ spiffeId, hint }) => [spiffeId, hint]),
    [
      ['spiffe://example.org/web', 'w'],
      ['spiffe://example.org/api', ''],
    ],
  )
  assert.ok(Object.isFrozen(parsed) && Object.isFrozen(parsed.svids))
})

describe('bundles', () => {
  test('come from the SVIDs and from the federation, by bare name or SPIFFE ID', () => {
    const federated = { 'one.example': root, 'spiffe://two.example': otherRoot }
    const parsed = context([web, svid('third.example/x', { bundle: otherRoot })], federated)
    assert.deepEqual(trustDomains(parsed), ['example.org', 'one.example', 'third.example', 'two.example'])
    const third = parsed.bundles.get(parseTrustDomain('third.example'))
    assert.deepEqual(
      third?.authorities.map(({ raw }) => raw),
      [otherRoot],
      'its own and no other',
    )
  })

  test('of the own trust domain are the ones beside the SVID', () => {
    const parsed = context([web], { 'example.org': otherRoot })
    const own = parsed.bundles.get(parseTrustDomain('example.org'))
    assert.deepEqual(
      own?.authorities.map(({ raw }) => raw),
      [root],
    )
  })

  test('that are no longer listed are gone with the next message', () => {
    const before = context([web], { 'one.example': root })
    const after = context([web])
    assert.deepEqual(trustDomains(before), ['example.org', 'one.example'])
    assert.deepEqual(trustDomains(after), ['example.org'])
    assert.notEqual(digest(before), digest(after))
  })

  test('may be empty', () => {
    const parsed = context([svid('example.org/web', { bundle: none })], { 'one.example': none })
    for (const name of ['example.org', 'one.example']) assert.deepEqual(parsed.bundles.get(parseTrustDomain(name))?.authorities, [])
  })

  test('of a trust domain called __proto__ are its own and nobody else notices', () => {
    const federated = Object.fromEntries([['__proto__', otherRoot]])
    const parsed = context([web], federated)
    assert.deepEqual(trustDomains(parsed), ['__proto__', 'example.org'])
    assert.equal(({} as Record<string, unknown>)['authorities'], undefined)
  })
})

describe('the digest of the bundles', () => {
  test('is equal for equal messages, with the authorities in any order', () => {
    const both = Buffer.concat([root, otherRoot])
    const turned = Buffer.concat([otherRoot, root])
    const one = context([{ ...web, bundle: both }, api], { a: both, b: root })
    const other = context([{ ...web, bundle: turned }, api], { b: root, a: turned })
    assert.equal(digest(context([web])), digest(context([web])))
    assert.equal(digest(one), digest(other))
  })

  test('changes with each bundle, and not with SVIDs', () => {
    const digests = [
      context([web]),
      context([{ ...web, bundle: otherRoot }]),
      context([{ ...web, bundle: none }]),
      context([web], { a: root }),
      context([web], { b: root }),
      context([web], { a: otherRoot }),
      context([web], { a: none }),
      context([web], { a: root, b: root }),
    ].map(digest)
    assert.equal(new Set(digests).size, digests.length)
    assert.equal(digest(context([web, api])), digest(context([web])))
  })
})

describe('a message is refused as a whole', () => {
  test('without any SVID', () => refused(() => context([]), 'x509_svid_invalid', /without any/))

  test('when one of many SVIDs is wrong', () => {
    assert.equal(context([web, api]).svids.length, 2)
    for (const wrong of [{ x509_svid: none }, { x509_svid_key: none }, { spiffe_id: '' }, { x509_svid: Buffer.from('x') }])
      refused(() => context([web, { ...api, ...wrong }]), 'x509_svid_invalid')
  })

  test('when one bundle or one name is wrong', () => {
    refused(() => context([{ ...web, bundle: Buffer.from('x') }]), 'x509_bundle_invalid', /example\.org/)
    refused(() => context([web], { 'one.example': Buffer.from('x') }), 'x509_bundle_invalid', /one\.example/)
    refused(() => context([web], { 'One.example': root }), 'spiffe_id_invalid', /One\.example/)
    refused(() => context([web], { '': root }), 'spiffe_id_invalid')
  })

  test('when an earlier SVID of the trust domain has a bundle that is none', () => {
    refused(() => context([{ ...web, bundle: Buffer.from('x') }, api]), 'x509_bundle_invalid')
  })

  test('when there is too much of it, with the number and the limit', () => {
    const many = (count: number) => Array.from({ length: count }, () => web)
    refused(() => context(many(2001)), 'workload_api_too_large', /2001.* 2000/)
    assert.equal(context(many(200)).svids.length, 200)
    const federated = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`td${i}`, none]))
    assert.equal(context([web], federated(999)).bundles.size, 1000)
    refused(() => context([web], federated(1000)), 'workload_api_too_large', /1001 bundles.* 1000/)
    refused(() => context([{ ...web, bundle: Buffer.alloc((4 << 20) + 1) }]), 'workload_api_too_large', /example\.org/)
  })
})

test('takes what it does not know and leaves it alone', () => {
  const extra = { ...web, wit_svid: 'x', '9': none }
  const parsed = parseX509Context({ svids: [extra], federated_bundles: {}, crl: [none] } as X509ContextMessage)
  assert.equal(digest(parsed), digest(context([web])))
})
