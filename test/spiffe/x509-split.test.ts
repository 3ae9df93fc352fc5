// Concatenated DER is taken apart exactly: Node's own constructor would read the first certificate and stop.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isFailure } from '../../src/core/errors.ts'
import { parseTrustDomain } from '../../src/spiffe/spiffe-id.ts'
import { parseX509Bundle, splitCertificates } from '../../src/spiffe/x509-bundle.ts'
import { parseX509Svid, type X509SvidMessage } from '../../src/spiffe/x509-svid.ts'
import { authority, authorityKey, id, leaf, leafKey, message, newKey, newRsaKey, pkcs8 } from './certificates.ts'

const trustDomain = parseTrustDomain('example.org')
const split = (bytes: Buffer) => splitCertificates(bytes, 'x509_bundle_invalid', 'it')

const orFailure = <T>(parse: () => T, code: string): T | undefined => {
  try {
    return parse()
  } catch (error) {
    assert.ok(isFailure(error), `not a Failure: ${String(error)}`)
    assert.equal(error.code, code)
    return undefined
  }
}
const svid = (of: X509SvidMessage) => orFailure(() => parseX509Svid(of), 'x509_svid_invalid')
const bundle = (bytes: Buffer) => orFailure(() => parseX509Bundle(trustDomain, bytes), 'x509_bundle_invalid')

const pool = [authority(), authority({ key: newKey('P-384') }), authority({ key: newRsaKey() }), leaf()]

test('gives back each certificate, byte for byte and in order', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pool), { maxLength: 6 }), (chosen) => {
      assert.deepEqual(
        split(Buffer.concat(chosen)).map(({ raw }) => raw),
        chosen,
      )
    }),
  )
})

test('puts the leaf first and then the intermediates of a chain, RSA ones too', () => {
  const [one, , rsa] = pool
  assert.ok(one && rsa)
  const parsed = svid(message({ x509_svid: Buffer.concat([leaf(), rsa, one]) }))
  assert.deepEqual(
    parsed?.intermediates.map(({ raw }) => raw),
    [rsa, one],
  )
  const reversed = svid(message({ x509_svid: Buffer.concat([rsa, leaf()]) }))
  assert.equal(reversed, undefined, 'an authority in the place of the leaf')
})

describe('a chain and a bundle', () => {
  const chain = Buffer.concat([leaf(), authority()])
  const whole = message({ x509_svid: chain })
  const firstEnd = leaf().length

  test('may not be followed by anything', () => {
    assert.ok(svid(whole))
    assert.ok(bundle(chain))
    for (const tail of ['00', '30', '3000', '0000', '0a', '300302010500', '0500'].map((hex) => Buffer.from(hex, 'hex'))) {
      assert.equal(svid({ ...whole, x509_svid: Buffer.concat([chain, tail]) }), undefined, tail.toString('hex'))
      assert.equal(bundle(Buffer.concat([chain, tail])), undefined, tail.toString('hex'))
    }
  })

  test('may have nothing between their certificates', () => {
    for (const gap of ['00', '0a', '3000', '0500'].map((hex) => Buffer.from(hex, 'hex'))) {
      const bytes = Buffer.concat([leaf(), gap, authority()])
      assert.equal(svid({ ...whole, x509_svid: bytes }), undefined)
      assert.equal(bundle(bytes), undefined)
      assert.equal(bundle(Buffer.concat([gap, authority()])), undefined)
    }
  })

  test('are refused when cut at any byte but the one between two certificates', () => {
    const starts = new Set([split(chain)[0]?.raw.length, chain.length])
    assert.ok(starts.has(firstEnd) || starts.size === 2)
    for (let kept = 1; kept <= chain.length; kept++) {
      const cut = chain.subarray(0, kept)
      assert.equal(svid({ ...whole, x509_svid: cut }) !== undefined, starts.has(kept), `SVID of ${kept} bytes`)
      assert.equal(bundle(cut) !== undefined, starts.has(kept), `bundle of ${kept} bytes`)
    }
  })
})

test('a key cut at any byte is refused', () => {
  const key = pkcs8(leafKey)
  for (let kept = 0; kept < key.length; kept++) assert.equal(svid(message({ x509_svid_key: key.subarray(0, kept) })), undefined, `${kept} bytes`)
  assert.ok(svid(message({ x509_svid_key: key })))
})

describe('a real SVID with some bytes changed', () => {
  const certificate = leaf({ subject: 'web', notAfter: Date.UTC(2055, 0, 1) })
  const chain = Buffer.concat([certificate, authority()])
  const edit = fc.array(fc.tuple(fc.nat(chain.length - 1), fc.nat(255), fc.constantFrom('set', 'insert', 'delete', 'copy')), { minLength: 1, maxLength: 3 })
  const edited = (bytes: Buffer, edits: readonly (readonly [number, number, string])[]) =>
    edits.reduce((from, [at, value, how]) => {
      const added = how === 'delete' ? [] : how === 'copy' ? [...from.subarray(at, at + value)] : [value]
      return Buffer.concat([from.subarray(0, at), Buffer.from(added), from.subarray(how === 'insert' ? at : at + 1)])
    }, bytes)

  test('is refused with a Failure, or is still an SVID by every rule', () => {
    fc.assert(
      fc.property(edit, (edits) => {
        const parsed = svid(message({ x509_svid: edited(chain, edits) }))
        if (parsed === undefined) return
        assert.equal(parsed.spiffeId, id)
        assert.ok(parsed.leaf.checkPrivateKey(parsed.privateKey))
        assert.ok(Number.isFinite(parsed.notBefore) && Number.isFinite(parsed.notAfter), 'a date that is none')
        assert.match(parsed.serial, /^-?\d+$/)
        assert.equal(parsed.leafFacts.ca, false)
        assert.equal(parsed.leaf.ca, false, 'OpenSSL sees a CA')
        assert.equal(parsed.leaf.subjectAltName ?? `URI:${id}`, `URI:${id}`, 'OpenSSL sees other names')
      }),
      { numRuns: 2000 },
    )
  })

  test('as one key among many: only its own fits', () => {
    const key = pkcs8(leafKey)
    fc.assert(
      fc.property(fc.nat(key.length - 1), fc.nat(255), (at, value) => {
        const mutant = Buffer.from(key)
        mutant[at] = value
        const parsed = svid(message({ x509_svid_key: mutant }))
        if (parsed !== undefined) assert.ok(parsed.leaf.checkPrivateKey(parsed.privateKey))
      }),
      { numRuns: 500 },
    )
    assert.equal(svid(message({ x509_svid_key: pkcs8(authorityKey) })), undefined)
  })

  test('in a bundle: refused with a Failure, or certificates that Node can print', () => {
    fc.assert(
      fc.property(edit, (edits) => {
        const parsed = bundle(edited(chain, edits))
        if (parsed === undefined) return
        // Each as OpenSSL reads its place, which is not always letter for letter: it clears bits that a signature says are unused.
        const bytes = edited(chain, edits)
        let at = 0
        for (const { raw } of parsed.authorities) {
          assert.deepEqual(new X509Certificate(bytes.subarray(at)).raw, raw)
          at += raw.length
        }
        assert.equal(at, bytes.length)
        for (const one of parsed.authorities) new X509Certificate(one.toString())
      }),
      {
        numRuns: 1000,
        examples: [
          [
            [
              [665, 1, 'set'],
              [74, 0, 'set'],
            ],
          ],
        ],
      },
    )
  })
})
