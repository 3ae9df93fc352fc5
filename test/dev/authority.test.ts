// The dev authority issues what SPIRE would, and other people's code agrees.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { systemClock } from '../../src/core/clock.ts'
import { basicConstraints, certificate, keyUsage, newKey } from '../spiffe/certificates.ts'
import { type Authority, createAuthority, type IssuedX509, type KeyType } from '../support/dev/authority.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createCertificate, randomSerial, readCertificate } from '../support/world/certificate.ts'
import { temporaryFolder } from './support.ts'

const spiffeId = 'spiffe://dev.local/web'
const web = { spiffeId, ttlSeconds: 60 }

const parse = (raw: Buffer | undefined) => new X509Certificate(raw ?? Buffer.alloc(0))
const pem = (raw: Buffer) => new X509Certificate(raw).toString()

test('issues a leaf in the profile of SPIRE', async () => {
  const clock = createFakeClock()
  const authority = await createAuthority({ trustDomain: 'dev.local', clock })
  const issued = await authority.issueX509(web)
  const leaf = parse(issued.chain[0])
  const facts = readCertificate(leaf.raw)
  assert.equal(leaf.subject, 'C=US\nO=SPIRE')
  assert.equal(leaf.subjectAltName, `URI:${spiffeId}`)
  assert.deepEqual(facts.uris, [spiffeId])
  assert.equal(facts.version, 3)
  assert.equal(facts.ca, false)
  assert.deepEqual([facts.digitalSignature, facts.keyCertSign], [true, false])
  assert.ok(leaf.raw.includes(Buffer.from('0603551d0f0101ff0404030203a8', 'hex')), 'digitalSignature, keyEncipherment, keyAgreement')
  assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']) // Node's name for the extended key usage
  assert.equal(leaf.validFromDate.getTime(), clock.now() - 10_000)
  assert.equal(leaf.validToDate.getTime(), clock.now() + 60_000)
  assert.equal(issued.notBefore, leaf.validFromDate.getTime())
  assert.equal(issued.notAfter, leaf.validToDate.getTime())
  assert.ok(leaf.checkPrivateKey(createPrivateKey({ key: issued.key, format: 'der', type: 'pkcs8' })))
})

test('issues a root that names its trust domain and signs certificates only', async () => {
  const authority = await createAuthority({ trustDomain: 'dev.local', clock: createFakeClock() })
  const root = parse(authority.bundle()[0])
  assert.match(root.subject, /^C=US\nO=SPIFFE\nserialNumber=\d+$/)
  assert.equal(root.subjectAltName, 'URI:spiffe://dev.local')
  const { ca, digitalSignature, keyCertSign } = readCertificate(root.raw)
  assert.deepEqual({ ca, digitalSignature, keyCertSign }, { ca: true, digitalSignature: false, keyCertSign: true })
  assert.ok(root.raw.includes(Buffer.from('0603551d0f0101ff040403020106', 'hex')), 'keyCertSign, cRLSign')
  assert.ok(root.verify(root.publicKey))
  assert.equal(authority.rootPem(), root.toString())
})

test('puts a DNS name into the SAN and the common name, and leaves the subject out when asked', async () => {
  const authority = await createAuthority({ trustDomain: 'dev.local', clock: createFakeClock() })
  const named = parse((await authority.issueX509({ ...web, dnsNames: ['web.dev', 'w'] })).chain[0])
  assert.equal(named.subject, 'C=US\nO=SPIRE\nCN=web.dev')
  assert.equal(named.subjectAltName, `DNS:web.dev, DNS:w, URI:${spiffeId}`)
  const empty = parse((await authority.issueX509({ ...web, subject: 'empty' })).chain[0])
  assert.ok(!empty.subject)
  const criticalSan = Buffer.from('0603551d110101ff', 'hex')
  assert.deepEqual([empty.raw.includes(criticalSan), named.raw.includes(criticalSan)], [true, false])
})

test('dates a leaf back when told, and refuses an identity of another trust domain', async () => {
  const clock = createFakeClock()
  const authority = await createAuthority({ trustDomain: 'dev.local', clock })
  const old = await authority.issueX509({ ...web, lifetimeStart: clock.now() - 120_000 })
  assert.equal(old.notAfter, clock.now() - 60_000)
  await assert.rejects(authority.issueX509({ ...web, spiffeId: 'spiffe://dev.local.evil/web' }), /not in the trust domain/)
})

for (const keyType of ['ec-p256', 'ec-p384', 'rsa-2048'] satisfies KeyType[])
  for (const intermediate of [false, true])
    test(`chains verify with ${keyType} authorities, ${intermediate ? 'through an' : 'without'} intermediate`, async (t) => {
      const authority = await createAuthority({ trustDomain: 'dev.local', keyType, intermediate, clock: systemClock })
      const issued = await authority.issueX509({ ...web, keyType })
      const certificates = [...issued.chain, ...authority.bundle()].map(parse)
      assert.equal(certificates.length, intermediate ? 3 : 2)
      for (const [at, certificate] of certificates.entries()) {
        const issuer = certificates[Math.min(at + 1, certificates.length - 1)]
        assert.ok(issuer && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey), `number ${at}`)
        assert.equal(certificate.publicKey.asymmetricKeyType, keyType === 'rsa-2048' ? 'rsa' : 'ec')
      }
      const stranger = await createAuthority({ trustDomain: 'dev.local', keyType, clock: systemClock })
      assert.ok(!certificates.at(-2)?.verify(parse(stranger.bundle()[0]).publicKey))

      const folder = await temporaryFolder(t)
      const verdict = await opensslVerify(folder, issued, authority)
      if (verdict === undefined) return t.diagnostic('no openssl on PATH: its verdict is skipped')
      assert.match(verdict, /leaf\.pem: OK/)
      assert.doesNotMatch((await opensslVerify(folder, issued, stranger)) ?? '', /OK/)
    })

/** What `openssl verify -x509_strict` says; undefined without an openssl. */
async function opensslVerify(folder: string, issued: IssuedX509, authority: Authority): Promise<string | undefined> {
  const [leaf = Buffer.alloc(0), ...between] = issued.chain
  await writeFile(join(folder, 'leaf.pem'), pem(leaf))
  await writeFile(join(folder, 'between.pem'), between.map(pem).join(''))
  await writeFile(join(folder, 'root.pem'), authority.rootPem())
  const untrusted = between.length > 0 ? ['-untrusted', 'between.pem'] : []
  const run = spawnSync('openssl', ['verify', '-x509_strict', '-CAfile', 'root.pem', ...untrusted, 'leaf.pem'], { cwd: folder, encoding: 'utf8' })
  return run.error ? undefined : run.stdout + run.stderr
}

test('lets no leaf outlive its authority', async () => {
  const authority = await createAuthority({ trustDomain: 'dev.local', clock: createFakeClock() })
  const { notAfter } = await authority.issueX509({ ...web, ttlSeconds: 20 * 365 * 86_400 })
  assert.equal(notAfter, parse(authority.bundle()[0]).validToDate.getTime())
})

test('keeps the old root and the old token key after a rotation', async () => {
  const authority = await createAuthority({ trustDomain: 'dev.local', clock: createFakeClock() })
  const [before] = authority.bundle()
  const { keys: keysBefore } = await authority.jwks()
  const oldLeaf = parse((await authority.issueX509(web)).chain[0])
  await authority.rotate()
  const [kept, made] = authority.bundle()
  assert.deepEqual(kept, before)
  const newLeaf = parse((await authority.issueX509(web)).chain[0])
  assert.ok(oldLeaf.verify(parse(kept).publicKey) && !newLeaf.verify(parse(kept).publicKey))
  assert.ok(newLeaf.verify(parse(made).publicKey))
  const { keys } = await authority.jwks()
  assert.deepEqual(keys.slice(0, 1), keysBefore)
  assert.equal(keys.length, 2)
})

for (const algorithm of ['ES256', 'RS256', 'PS256'] as const)
  test(`issues ${algorithm} tokens that jose verifies with the JWKS`, async () => {
    const clock = createFakeClock()
    const authority = await createAuthority({ trustDomain: 'dev.local', clock })
    const token = await authority.issueJwt({ spiffeId, audience: ['a', 'b'], ttlSeconds: 60, algorithm })
    const { keys } = await authority.jwks()
    const { payload } = await jwtVerify(token, createLocalJWKSet({ keys }), { currentDate: new Date(clock.now()) })
    const seconds = Math.floor(clock.now() / 1000)
    assert.deepEqual(payload, { sub: spiffeId, aud: ['a', 'b'], exp: seconds + 60, iat: seconds })
    const { alg, typ, kid } = decodeProtectedHeader(token)
    assert.deepEqual({ alg, typ }, { alg: algorithm, typ: 'JWT' })
    assert.ok(keys.some((key) => 'kid' in key && key.kid === kid))
    assert.ok(keys.every((key) => !('use' in key) && !('d' in key)))
  })

test('writes an issuer into a token only when there is one', async () => {
  const authority = await createAuthority({ trustDomain: 'dev.local', clock: createFakeClock() })
  const issuer = 'https://oidc.dev.local'
  const payload = async (extra: object) => {
    const token = await authority.issueJwt({ spiffeId, audience: ['a'], ttlSeconds: 60, ...extra })
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { iss?: string }
  }
  assert.equal((await payload({ issuer })).iss, issuer)
  assert.equal((await payload({})).iss, undefined)
})

/** The DER of a certificate of the authority's own make, in hexadecimal. */
const written = (change: { serial?: bigint; notAfter?: number }) =>
  createCertificate({ key: newKey(), subject: [], notBefore: 0, notAfter: 0, ca: false, uris: [], ...change }).toString('hex')

test('writes a serial number that DER reads as positive, whatever its first bit', () => {
  // Behind the version.
  assert.match(written({ serial: 0x80n }), /^.{8,16}a00302010202020080/)
  assert.match(written({ serial: 0x7fn }), /^.{8,16}a00302010202017f/)
  assert.match(written({ serial: 2n ** 128n - 1n }), /^.{8,16}a003020102021100f{32}/)
  assert.ok(randomSerial() < 2n ** 128n)
  assert.notEqual(randomSerial(), randomSerial())
})

test('writes GeneralizedTime from 2050 on', () => {
  const hex = (text: string) => Buffer.from(text, 'latin1').toString('hex')
  assert.ok(written({ notAfter: Date.parse('2049-12-31T23:59:59Z') }).includes(hex('\x17\x0d491231235959Z')))
  assert.ok(written({ notAfter: Date.parse('2050-01-01T00:00:00Z') }).includes(hex('\x18\x0f20500101000000Z')))
})

test('tells a CA by its flag, and the key usages of whatever has none', () => {
  const key = newKey()
  const wrong = certificate({ key, extensions: [keyUsage('digitalSignature'), basicConstraints(true)] })
  assert.equal(readCertificate(wrong).ca, true)
  assert.equal(parse(wrong).ca, false) // Node's `ca` wants keyCertSign too, which is why there is a reader here
  const { version, ca, digitalSignature, keyCertSign, uris } = readCertificate(certificate({ key, extensions: [basicConstraints(false)] }))
  assert.deepEqual({ version, ca, digitalSignature, keyCertSign, uris }, { version: 3, ca: false, digitalSignature: false, keyCertSign: false, uris: [] })
  assert.equal(readCertificate(certificate({ key, extensions: [] })).version, 1)
})
