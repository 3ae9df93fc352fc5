// What a right X.509-SVID becomes: everything that the later stages need, and nothing that prints a key.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { systemClock } from '../../src/core/clock.ts'
import { parseX509Svid, x509Facts } from '../../src/spiffe/x509-svid.ts'
import { createAuthority } from '../support/dev/authority.ts'
import { id, leaf, leafKey, message, newEd25519Key, pkcs8 } from './certificates.ts'

describe('accepts what SPIRE issues', () => {
  for (const keyType of ['ec-p256', 'ec-p384', 'rsa-2048'] as const)
    for (const intermediate of [false, true])
      test(`${keyType}${intermediate ? ' through an intermediate of the same kind' : ''}`, async () => {
        const issuer = await createAuthority({ trustDomain: 'example.org', keyType, intermediate, clock: systemClock })
        const issued = await issuer.issueX509({ spiffeId: id, ttlSeconds: 60, keyType, subject: 'empty' })
        const parsed = parseX509Svid(message({ x509_svid: Buffer.concat(issued.chain), x509_svid_key: issued.key, hint: 'h' }))
        assert.deepEqual(
          [parsed.leaf, ...parsed.intermediates].map(({ raw }) => raw),
          issued.chain,
        )
        assert.deepEqual([parsed.spiffeId, parsed.hint], [id, 'h'])
        assert.deepEqual([parsed.notBefore, parsed.notAfter], [issued.notBefore, issued.notAfter])
        assert.equal(parsed.leafFacts.subjectEmpty, true)
      })

  test('and an Ed25519 key', () => {
    const key = newEd25519Key()
    const issued = message({ x509_svid: leaf({ key }), x509_svid_key: pkcs8(key) })
    assert.equal(parseX509Svid(issued).privateKey.asymmetricKeyType, 'ed25519')
  })
})

test('does not judge by the clock: an expired and a future one are parsed', () => {
  const past = { notBefore: Date.UTC(2000, 0, 1), notAfter: Date.UTC(2000, 0, 2) }
  const future = { notBefore: Date.UTC(2060, 0, 1), notAfter: Date.UTC(2060, 0, 2) }
  for (const times of [past, future]) {
    const { notBefore, notAfter } = parseX509Svid(message({ x509_svid: leaf(times) }))
    assert.deepEqual({ notBefore, notAfter }, times)
  }
})

test('writes the serial in decimal, whatever its first bit', () => {
  for (const [hex, decimal] of [
    ['01', '1'],
    ['80', '128'],
    ['ffffffffffffffffffff', '1208925819614629174706175'],
  ] as const)
    assert.equal(parseX509Svid(message({ x509_svid: leaf({ serial: Buffer.from(hex, 'hex') }) })).serial, decimal)
})

test('prints no key and cannot be changed', () => {
  const parsed = parseX509Svid(message())
  const key = pkcs8(leafKey)
  const shown = inspect(parsed, { depth: 9, showHidden: true }) + JSON.stringify([parsed, x509Facts(parsed)])
  for (const encoding of ['base64', 'hex'] as const) assert.ok(!shown.includes(key.toString(encoding).slice(40, 80)))
  assert.ok(Object.isFrozen(parsed) && Object.isFrozen(parsed.intermediates))
  assert.match(x509Facts(parsed).fingerprint, /^[0-9a-f]{64}$/)
})
