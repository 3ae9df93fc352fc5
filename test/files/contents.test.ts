// What stands in the files: order, forms and names, read back by parsers that are not ours.
import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { isFailure } from '../../src/core/errors.ts'
import { federatedName, jwtBundleContent, type X509Form, x509Contents } from '../../src/files/contents.ts'
import type { X509Identity } from '../../src/identity/sources.ts'
import { type JwtBundle, parseJwtBundles } from '../../src/spiffe/jwt-bundle.ts'
import type { TrustDomain } from '../../src/spiffe/spiffe-id.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createIdentities } from './support.ts'

const clock = createFakeClock()
const names = { certificate: 'tls.crt', key: 'tls.key', bundle: 'bundle.pem', combined: 'all.pem' }
const plain: X509Form = { names, intermediates: 'certificate', federated: 'none', omitExpired: false }

const blocks = (pem: string): string[] => pem.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----\n/g) ?? []
const certificates = (pem: string): string[] =>
  blocks(pem)
    .filter((block) => block.includes('CERTIFICATE'))
    .map((block) => new X509Certificate(block).fingerprint256)

let identity: X509Identity
let leaf: string
let intermediate: string
let roots: string[]
const foreign: Record<string, string[]> = {}

before(async () => {
  const own = await createIdentities({ clock, intermediate: true })
  await own.authority.rotate()
  const others = await Promise.all(['zeta.org', 'alpha.org', 'beta.example.org'].map(async (trustDomain) => createIdentities({ clock, trustDomain })))
  identity = await own.issue(others.map((one) => one.bundle()))
  leaf = identity.svid.leaf.fingerprint256
  intermediate = identity.svid.intermediates[0]?.fingerprint256 ?? ''
  roots = own.bundle().authorities.map(({ fingerprint256 }) => fingerprint256)
  for (const one of others) foreign[one.authority.trustDomain] = one.bundle().authorities.map(({ fingerprint256 }) => fingerprint256)
})

/** The files by name. */
const render = (form: Partial<X509Form> = {}, now = clock.now()): Record<string, string> =>
  Object.fromEntries(x509Contents(identity, { ...plain, ...form }, now).map(({ path, data }) => [path, data.toString()]))

describe('X.509', () => {
  test('the certificate is the leaf and then its chain, in PEM of 64 columns with a final newline and nothing between', () => {
    const text = render()['tls.crt'] ?? ''
    assert.deepEqual(certificates(text), [leaf, intermediate])
    assert.equal(blocks(text).join(''), text)
    for (const line of text.split('\n')) assert.ok(line.length <= 64)
    assert.ok(text.endsWith('-----END CERTIFICATE-----\n'))
  })

  test('the key is PKCS#8 and belongs to the certificate', () => {
    const text = render()['tls.key'] ?? ''
    assert.match(text, /^-----BEGIN PRIVATE KEY-----\n[^-]+-----END PRIVATE KEY-----\n$/)
    assert.ok(identity.svid.leaf.checkPrivateKey(createPrivateKey(text)))
  })

  test('combined is the key first, then leaf and intermediates, wherever intermediates go otherwise', () => {
    for (const intermediates of ['certificate', 'bundle'] as const) {
      const text = render({ intermediates })['all.pem'] ?? ''
      assert.ok(text.startsWith('-----BEGIN PRIVATE KEY-----'))
      assert.deepEqual(certificates(text), [leaf, intermediate])
      assert.equal(blocks(text).length, 3)
    }
  })

  test('intermediates go behind the leaf or behind the own authorities', () => {
    assert.deepEqual(certificates(render()['bundle.pem'] ?? ''), roots)
    const moved = render({ intermediates: 'bundle' })
    assert.deepEqual(certificates(moved['tls.crt'] ?? ''), [leaf])
    assert.deepEqual(certificates(moved['bundle.pem'] ?? ''), [...roots, intermediate])
  })

  test('federated bundles are left out, merged behind everything else by name, or have a file each', () => {
    assert.deepEqual(Object.keys(render()), ['tls.crt', 'tls.key', 'all.pem', 'bundle.pem'])
    const sorted = ['alpha.org', 'beta.example.org', 'zeta.org'].flatMap((name) => foreign[name] ?? [])
    const merged = render({ federated: 'merged', intermediates: 'bundle' })
    assert.deepEqual(certificates(merged['bundle.pem'] ?? ''), [...roots, intermediate, ...sorted])
    const files = render({ federated: 'files' })
    assert.deepEqual(certificates(files['bundle.pem'] ?? ''), roots)
    for (const [name, expected] of Object.entries(foreign)) assert.deepEqual(certificates(files[`bundle.${name}.pem`] ?? ''), expected)
    assert.equal(Object.keys(files).length, 7)
  })

  test('without a bundle there are no federated files either, and only what is named is made', () => {
    assert.deepEqual(Object.keys(render({ names: { certificate: 'c' }, federated: 'files' })), ['c'])
    assert.deepEqual(Object.keys(render({ names: { combined: 'all' } })), ['all'])
  })

  test('key and combined are secret, and nothing else is', () => {
    const secrets = x509Contents(identity, { ...plain, federated: 'files' }, clock.now()).filter(({ secret }) => secret)
    assert.deepEqual(
      secrets.map(({ path }) => path),
      ['tls.key', 'all.pem'],
    )
    for (const { path, data, secret } of x509Contents(identity, plain, clock.now())) assert.equal(data.includes('PRIVATE KEY'), secret, path)
  })

  test('the name of a federated bundle has the trust domain in front of its extension', () => {
    assert.equal(federatedName('bundle.pem', 'a.org'), 'bundle.a.org.pem')
    assert.equal(federatedName('ca', 'a.org'), 'ca.a.org')
    assert.equal(federatedName('a.b.pem', 'a.org'), 'a.b.a.org.pem')
    assert.equal(federatedName('ca$&.pem', 'a.org'), 'ca$&.a.org.pem')
    assert.equal(federatedName('/etc/conf.d/ca', 'a.org'), '/etc/conf.d/ca.a.org')
  })

  test('a federated bundle never takes the place of another file, whatever its trust domain is called', async () => {
    const other = await createIdentities({ clock, trustDomain: 'key' })
    const own = await createIdentities({ clock })
    const issued = await own.issue([other.bundle()])
    const form: X509Form = { ...plain, names: { key: 'svid.key.pem', bundle: 'svid.pem' }, federated: 'files' }
    assert.throws(() => x509Contents(issued, form, clock.now()), { code: 'file_write', message: /two files would be called svid\.key\.pem/ })
  })
})

describe('omit_expired', () => {
  const end = (): number => identity.svid.notAfter

  test('leaves out what has ended, and only then', () => {
    const before = render({ omitExpired: true })
    assert.deepEqual([certificates(before['tls.crt'] ?? ''), certificates(before['bundle.pem'] ?? '')], [[leaf, intermediate], roots])
    assert.deepEqual(certificates(render({ omitExpired: true }, end())['tls.crt'] ?? '')[0], leaf, 'in its last second')
    const later = Date.UTC(2100, 0, 1)
    assert.deepEqual(certificates(render({}, later)['tls.crt'] ?? ''), [leaf, intermediate], 'not unless it is asked for')
  })

  test('never leaves an empty file, nor one without its leaf: what has ended is what there is', () => {
    for (const now of [end() + 1, Date.UTC(2100, 0, 1)]) {
      const files = render({ omitExpired: true, federated: 'files' }, now)
      for (const [path, text] of Object.entries(files)) assert.notEqual(text, '', path)
      assert.equal(certificates(files['tls.crt'] ?? '')[0], leaf)
      assert.equal(certificates(files['all.pem'] ?? '')[0], leaf)
    }
  })
})

describe('JWT bundles', () => {
  const key = (kid: string) => ({ kty: 'EC', kid, crv: 'P-256', x: 'AQ', y: 'Ag', use: 'jwt-svid', alg: 'ES256', extra: 1 })
  const bundles = (of: Record<string, object[]>): ReadonlyMap<TrustDomain, JwtBundle> =>
    parseJwtBundles(Object.fromEntries(Object.entries(of).map(([name, keys]) => [`spiffe://${name}`, Buffer.from(JSON.stringify({ keys }))])))
  const jwks = (of: Record<string, object[]>, trustDomain?: string) => JSON.parse(jwtBundleContent(bundles(of), 'jwks', trustDomain).toString()) as unknown

  test('jwks is the one trust domain’s keys with everything that they say, in order of their IDs', () => {
    assert.deepEqual(jwks({ 'a.org': [key('b'), key('a')] }), { keys: [key('a'), key('b')] })
    assert.deepEqual(jwks({ 'a.org': [key('a')] }, 'a.org'), { keys: [key('a')] })
    assert.deepEqual(jwks({ 'a.org': [] }), { keys: [] }, 'nothing is trusted')
  })

  test('of several trust domains the one that is named', () => {
    assert.deepEqual(jwks({ 'b.org': [key('b')], 'a.org': [key('a')] }, 'b.org'), { keys: [key('b')] })
  })

  test('several without a name, or a name that is not there, are failures that say what there is', () => {
    for (const [named, words] of [
      [undefined, /a\.org, b\.org, and no trust domain is asked for/],
      ['c.org', /a\.org, b\.org, and c\.org is asked for/],
    ] as const)
      assert.throws(
        () => jwks({ 'b.org': [key('b')], 'a.org': [key('a')] }, named),
        (error) => isFailure(error) && error.code === 'jwt_bundle_invalid' && words.test(error.message) && /trust_domain/.test(error.remedy),
      )
    assert.throws(() => jwks({ 'a.org': [key('a')] }, 'b.org'), /b\.org is asked for/)
  })

  test('spiffe-helper has each JWKS in base64 by the name of its trust domain, sorted, and of a key only what it is', () => {
    const text = jwtBundleContent(bundles({ 'b.org': [key('b')], 'a.org': [key('z'), key('a')] }), 'spiffe-helper', undefined).toString()
    const parsed = JSON.parse(text) as Record<string, string>
    assert.deepEqual(Object.keys(parsed), ['a.org', 'b.org'])
    const decoded = JSON.parse(Buffer.from(parsed['a.org'] ?? '', 'base64').toString()) as unknown
    assert.deepEqual(decoded, { keys: ['a', 'z'].map((kid) => ({ kty: 'EC', kid, crv: 'P-256', x: 'AQ', y: 'Ag' })) })
  })

  test('equal bundles are equal bytes, in whatever order they came', () => {
    for (const format of ['jwks', 'spiffe-helper'] as const) {
      const one = jwtBundleContent(bundles({ 'b.org': [key('1'), key('2')], 'a.org': [key('3')] }), format, 'b.org')
      const other = jwtBundleContent(bundles({ 'a.org': [key('3')], 'b.org': [key('2'), key('1')] }), format, 'b.org')
      assert.ok(one.equals(other))
    }
  })
})
