// The DER reader finds in a certificate what OpenSSL finds in it, and says RangeError to everything else.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type CertificateFacts, readCertificate, readElement } from '../../src/spiffe/der.ts'
import { der } from '../support/der.ts'
import { alternativeNames, authority, basicConstraints, dns, extendedKeyUsage, id, keyUsage, leaf, newRsaKey, uri } from './certificates.ts'

const rangeErrorOr = <T>(read: () => T): T | undefined => {
  try {
    return read()
  } catch (error) {
    assert.ok(error instanceof RangeError, `not a RangeError: ${String(error)}`)
    return undefined
  }
}

describe('an element', () => {
  const lengths = fc.oneof(fc.nat(300), fc.constantFrom(0, 127, 128, 255, 256, 65_535, 65_536))

  test('is found with its content and its end, whatever its length and what follows', () => {
    fc.assert(
      fc.property(fc.nat(255), lengths, fc.uint8Array({ maxLength: 5 }), (tag, length, tail) => {
        const content = Buffer.alloc(length, 0xa5)
        const whole = der(tag, content)
        const element = readElement(Buffer.concat([Buffer.from(tail), whole, Buffer.from(tail)]), tail.length)
        assert.equal(element.tag, tag)
        assert.ok(element.content.equals(content))
        assert.equal(element.end, tail.length + whole.length)
      }),
    )
  })

  test('that ends early is refused at every length', () => {
    for (const length of [0, 1, 127, 128, 300]) {
      const whole = der(0x30, Buffer.alloc(length))
      for (let kept = 0; kept < whole.length; kept++) assert.throws(() => readElement(whole.subarray(0, kept), 0), RangeError, `${kept} of ${whole.length}`)
    }
  })

  test('of indefinite length, or of one that fits into no memory, is refused', () => {
    for (const head of ['3080', '308000000000', '308501000000000000', '3084ffffffff', '30ff00', '30fe'])
      assert.throws(() => readElement(Buffer.from(`${head}0000`, 'hex'), 0), RangeError, head)
  })

  test('outside the buffer is refused', () => {
    const whole = der(0x30, Buffer.alloc(3))
    for (const offset of [whole.length, whole.length + 1, 1_000_000, -1]) assert.throws(() => readElement(whole, offset), RangeError)
  })
})

describe('a certificate', () => {
  const usage = keyUsage('digitalSignature')
  const read = (...extensions: Buffer[]): CertificateFacts => readCertificate(leaf({ extensions }))

  test('says whether the cA flag is set, and not whether it would do as a CA', () => {
    assert.equal(read(usage, basicConstraints(true)).ca, true)
    assert.equal(read(usage, basicConstraints(true, 3)).ca, true)
    assert.equal(read(usage, basicConstraints(false)).ca, false)
    assert.equal(read(usage, basicConstraints()).ca, false)
    assert.equal(read(usage).ca, false)
    assert.equal(read().ca, false)
  })

  test('says each key usage by its name, and whether there is the extension at all', () => {
    for (const one of ['digitalSignature', 'nonRepudiation', 'keyEncipherment', 'dataEncipherment'] as const)
      assert.deepEqual([...(read(keyUsage(one)).keyUsage ?? [])], [one])
    for (const one of ['keyAgreement', 'keyCertSign', 'cRLSign'] as const) assert.deepEqual([...(read(keyUsage(one)).keyUsage ?? [])], [one])
    assert.deepEqual([...(read(keyUsage('decipherOnly', 'encipherOnly')).keyUsage ?? [])], [])
    assert.equal(read(basicConstraints()).keyUsage, undefined)
  })

  test('says its URI names in order, between names of other kinds', () => {
    assert.deepEqual(read(alternativeNames(dns('a'), uri('b:1'), dns('c'), uri('d:2'))).uris, ['b:1', 'd:2'])
    assert.deepEqual(read(alternativeNames(dns('a'))).uris, [])
    assert.deepEqual(read(usage).uris, [])
  })

  test('says version, subject and signature algorithm', () => {
    assert.deepEqual([read(usage).version, read().version], [3, 1])
    const named = readCertificate(leaf({ subject: 'web' }))
    assert.deepEqual([named.subjectEmpty, named.commonName], [false, 'web'])
    const unnamed = readCertificate(leaf())
    assert.deepEqual([unnamed.subjectEmpty, unnamed.commonName], [true, undefined])
    assert.equal(unnamed.signatureAlgorithm, '1.2.840.10045.4.3.2')
    assert.equal(readCertificate(authority({ key: newRsaKey() })).signatureAlgorithm, '1.2.840.113549.1.1.11')
  })

  test('gives the same facts as OpenSSL for any mixture of extensions', () => {
    const extensions = fc.record({
      usages: fc.uniqueArray(fc.constantFrom('digitalSignature', 'keyAgreement', 'keyCertSign', 'cRLSign'), { minLength: 1 }),
      ca: fc.constantFrom(undefined, true, false),
      names: fc.array(fc.tuple(fc.boolean(), fc.stringMatching(/^[a-z]{1,9}$/)), { minLength: 1, maxLength: 5 }),
      extended: fc.boolean(),
    })
    fc.assert(
      fc.property(extensions, ({ usages, ca, names, extended }) => {
        const raw = leaf({
          extensions: [
            ...(extended ? [extendedKeyUsage] : []),
            alternativeNames(...names.map(([isUri, text]) => (isUri ? uri(`x:${text}`) : dns(text)))),
            basicConstraints(ca),
            keyUsage(...(usages as 'keyCertSign'[])),
          ],
        })
        const facts = readCertificate(raw)
        const openssl = new X509Certificate(raw)
        const shown = facts.uris.map((one) => `URI:${one}`)
        assert.deepEqual(
          (openssl.subjectAltName ?? '').split(', ').filter((one) => one.startsWith('URI:')),
          shown,
        )
        assert.equal(openssl.ca, facts.ca && facts.keyUsage?.has('keyCertSign'))
        assert.deepEqual([...(facts.keyUsage ?? [])].sort(), [...usages].sort())
      }),
      { numRuns: 60 },
    )
  })

  test('of any bytes is facts or a RangeError, and never anything else', () => {
    const whole = leaf({ subject: 'web' })
    for (let kept = 0; kept < whole.length; kept++)
      assert.equal(
        rangeErrorOr(() => readCertificate(whole.subarray(0, kept))),
        undefined,
        `${kept} bytes`,
      )
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void rangeErrorOr(() => readCertificate(Buffer.from(bytes)))))
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
        const mutant = Buffer.from(whole)
        mutant[at] = value
        rangeErrorOr(() => readCertificate(mutant))
      }),
      { numRuns: 2000 },
    )
    assert.deepEqual(rangeErrorOr(() => readCertificate(whole))?.uris, [id])
  })
})
