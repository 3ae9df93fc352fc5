// The dev AWS trusts the certificates that Roles Anywhere would, and no others.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alternativeNames, basicConstraints, type Content, certificate, keyUsage, newKey, pkcs8, uri } from '../spiffe/certificates.ts'
import { createAuthority } from '../support/dev/authority.ts'
import type { FakeClock } from '../support/fake-clock.ts'
import { arns, hour, refused, setup, spiffeId, untrusted } from './rolesanywhere.ts'

test('refuses a certificate without its intermediate, of another authority, or out of its time', async (t) => {
  const { clock, create, authority } = await setup(t)
  refused(await create({ chain: [] }), untrusted)
  const stranger = await createAuthority({ trustDomain: 'dev.local', intermediate: true, clock })
  refused(await create({ identity: await stranger.issueX509({ spiffeId, ttlSeconds: 60 }) }), untrusted)
  const issue = (start: number) => authority.issueX509({ spiffeId, ttlSeconds: 60, lifetimeStart: clock.now() + start })
  refused(await create({ identity: await issue(-61_000) }), untrusted)
  refused(await create({ identity: await issue(11_000) }), untrusted)
  assert.equal((await create({ identity: await issue(-59_000) })).status, 201)
  assert.equal((await create({ identity: await issue(9000) })).status, 201) // NotBefore is ten seconds back
})

test('wants a chain of at most five, without the leaf, in any order', async (t) => {
  const { authority, create, identity } = await setup(t)
  const [leaf = Buffer.alloc(0), intermediate = Buffer.alloc(0)] = identity.chain
  const [root = Buffer.alloc(0)] = authority.bundle()
  const invalid: [number, string, RegExp] = [400, 'ValidationException', /Chain/]
  refused(await create({ chain: [leaf, intermediate] }), invalid)
  refused(await create({ chain: Array.from({ length: 6 }, () => intermediate) }), invalid)
  assert.equal((await create({ chain: Array.from({ length: 5 }, () => intermediate) })).status, 201)
  assert.equal((await create({ chain: [root, intermediate] })).status, 201)
  const notACertificate: [number, string, RegExp] = [400, 'ValidationException', /^Invalid certificate$/]
  refused(await create({ chain: [Buffer.from('not a certificate')] }), notACertificate)
  refused(await create({ spoil: (headers) => (headers['x-amz-x509'] = '-----BEGIN CERTIFICATE-----') }), notACertificate)
  const two = Buffer.concat([leaf, intermediate]).toString('base64')
  refused(await create({ spoil: (headers) => (headers['x-amz-x509'] = two) }), notACertificate)
})

/** An identity from an issuer of the test's own, to be wrong in one thing. */
function handmade(t: { clock: FakeClock; root?: Partial<Content>; leaf?: Partial<Content>; ca?: Partial<Content> }) {
  const [rootKey, caKey, leafKey] = [newKey(), newKey(), newKey()]
  const times = { notBefore: t.clock.now() - 1000, notAfter: t.clock.now() + hour }
  const authority = { ...times, issuer: 'root', issuerKey: rootKey, extensions: [keyUsage('keyCertSign'), basicConstraints(true)] }
  const rootDer = certificate({ ...authority, key: rootKey, subject: 'root', ...t.root })
  const caDer = certificate({ ...authority, key: caKey, subject: 'ca', ...t.ca })
  const leafDer = certificate({
    ...times,
    key: leafKey,
    subject: 'leaf',
    issuer: 'ca',
    issuerKey: caKey,
    extensions: leafWith(keyUsage('digitalSignature')),
    ...t.leaf,
  })
  return { rootDer, identity: { chain: [leafDer, caDer], key: pkcs8(leafKey), ...times } }
}

const leafWith = (...extensions: Buffer[]) => [...extensions, alternativeNames(uri(spiffeId))]

const insufficient: [number, string, RegExp] = [403, 'AccessDeniedException', /Insufficient certificate$/]
const handmadeCases: [string, Omit<Parameters<typeof handmade>[0], 'clock'>, [number, string, RegExp] | 201][] = [
  ['a right one of another make', {}, 201],
  ['a leaf that is a CA', { leaf: { extensions: leafWith(keyUsage('digitalSignature', 'keyCertSign'), basicConstraints(true)) } }, insufficient],
  [
    'a leaf that is a CA, though one that may not sign certificates',
    { leaf: { extensions: leafWith(keyUsage('digitalSignature'), basicConstraints(true)) } },
    insufficient,
  ],
  ['a leaf that may not sign', { leaf: { extensions: leafWith(keyUsage('keyEncipherment')) } }, insufficient],
  ['a leaf without a subject', { leaf: { subject: '' } }, insufficient],
  ['an intermediate that is no CA', { ca: { extensions: [keyUsage('keyCertSign'), basicConstraints(false)] } }, untrusted],
  ['an intermediate that may not sign certificates', { ca: { extensions: [keyUsage('cRLSign'), basicConstraints(true)] } }, untrusted],
  ['an intermediate that has expired', { ca: { notAfter: 0, notBefore: 0 } }, untrusted],
  ['a leaf that another key has signed', { leaf: { issuerKey: newKey() } }, untrusted],
  ['a root that has expired', { root: { notBefore: 0, notAfter: 0 } }, untrusted],
  ['a leaf that names another issuer', { leaf: { issuer: 'else' } }, untrusted],
  [
    'a leaf for another identity',
    { leaf: { extensions: [keyUsage('digitalSignature'), alternativeNames(uri('spiffe://dev.local/x'), uri(spiffeId))] } },
    [403, 'AccessDeniedException', /^Unable to assume/],
  ],
]
for (const [name, content, expected] of handmadeCases)
  test(`judges ${name}`, async (t) => {
    let root: Buffer = Buffer.alloc(0)
    const { clock, create } = await setup(t, { trustAnchors: [{ arn: arns.trustAnchorArn, roots: () => [root] }] })
    const { rootDer, identity } = handmade({ clock, ...content })
    root = rootDer
    const answer = await create({ identity })
    if (expected === 201) assert.equal(answer.status, 201, answer.text)
    else refused(answer, expected)
  })

test('refuses a certificate that is not of version 3', async (t) => {
  const { create, identity } = await setup(t)
  const [leaf = Buffer.alloc(0), ...chain] = identity.chain
  const second = Buffer.from(leaf)
  second[second.indexOf('a003020102', 0, 'hex') + 4] = 1
  refused(await create({ identity: { ...identity, chain: [second, ...chain] } }), insufficient)
})

test('knows both roots after a rotation', async (t) => {
  const { authority, create } = await setup(t)
  await authority.rotate()
  assert.equal((await create()).status, 201)
  assert.equal((await create({ identity: await authority.issueX509({ spiffeId, ttlSeconds: 60 }) })).status, 201)
})
