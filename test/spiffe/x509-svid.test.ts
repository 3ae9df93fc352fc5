// An X.509-SVID is accepted when a consumer may use it, and every kind of wrong one has an accepted neighbour.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { describe, test } from 'node:test'
import { isFailure } from '../../src/core/errors.ts'
import { parseX509Svid, type X509SvidMessage } from '../../src/spiffe/x509-svid.ts'
import * as made from './certificates.ts'

const { alternativeNames, authority, basicConstraints, dns, extendedKeyUsage, id, keyUsage, leaf, message, uri } = made

const verdict = (of: X509SvidMessage): string | undefined => {
  try {
    parseX509Svid(of)
    return undefined
  } catch (error) {
    assert.ok(isFailure(error), `not a Failure: ${String(error)}`)
    assert.equal(error.code, 'x509_svid_invalid')
    assert.match(error.message, /^the X\.509-SVID "/)
    return error.message
  }
}

const usage = keyUsage('digitalSignature')
const names = alternativeNames(uri(id))
const withLeaf = (...extensions: Buffer[]) => message({ x509_svid: leaf({ extensions }) })
const withChain = (...between: Buffer[]) => message({ x509_svid: Buffer.concat([leaf(), ...between]) })
const between = (...extensions: Buffer[]) => withChain(authority({ extensions }))

/** The good leaf with one text in it replaced by another of the same length. */
const spoiled = (from: string, to: string): Buffer => {
  const text = leaf().toString('latin1')
  assert.ok(text.includes(from) && from.length === to.length)
  return Buffer.from(text.replace(from, to), 'latin1')
}

const cases: [string, wrong: () => X509SvidMessage, why: RegExp, neighbour: () => X509SvidMessage][] = [
  // go-spiffe's wrong-leaf-ca-true: Node's own `ca` says false here, because keyCertSign is missing.
  [
    'a leaf that is a CA without the right to sign certificates',
    () => withLeaf(usage, basicConstraints(true), names),
    /is a CA/,
    () => withLeaf(usage, basicConstraints(false), names),
  ],
  [
    'a leaf that is a CA in full',
    () => withLeaf(keyUsage('digitalSignature', 'keyCertSign'), basicConstraints(true), names),
    /is a CA/,
    () => withLeaf(usage, names),
  ],
  [
    'a leaf that is a CA with a path length',
    () => withLeaf(usage, basicConstraints(true, 0), names),
    /is a CA/,
    () => withLeaf(usage, basicConstraints(), names),
  ],
  [
    'a leaf that may sign certificates',
    () => withLeaf(keyUsage('digitalSignature', 'keyCertSign'), names),
    /sign certificates/,
    () => withLeaf(keyUsage('digitalSignature', 'keyAgreement'), names),
  ],
  [
    'a leaf that may sign revocation lists',
    () => withLeaf(keyUsage('digitalSignature', 'cRLSign'), names),
    /revocation lists/,
    () => withLeaf(keyUsage('digitalSignature', 'encipherOnly'), names),
  ],
  [
    'a leaf that may not sign',
    () => withLeaf(keyUsage('keyEncipherment', 'keyAgreement'), names),
    /digitalSignature/,
    () => withLeaf(keyUsage('keyEncipherment', 'digitalSignature'), names),
  ],
  ['a leaf without key usage', () => withLeaf(names), /digitalSignature/, () => withLeaf(usage, names)],
  [
    'key usage with a second byte and no first bit',
    () => withLeaf(keyUsage('decipherOnly'), names),
    /digitalSignature/,
    () => withLeaf(keyUsage('decipherOnly', 'digitalSignature'), names),
  ],
  ['an empty SPIFFE ID', () => withLeaf(usage, alternativeNames(uri(''))), /empty/, () => withLeaf(usage, names)],
  [
    'no URI name',
    () => withLeaf(usage, alternativeNames(dns('web'))),
    /0 URI names/,
    () => withLeaf(usage, alternativeNames(dns('web'), uri(id), dns('web.example.org'))),
  ],
  ['no alternative name at all', () => withLeaf(usage), /0 URI names/, () => withLeaf(usage, names, extendedKeyUsage)],
  ['two URI names, even of one SPIFFE ID', () => withLeaf(usage, alternativeNames(uri(id), uri(id))), /2 URI names/, () => withLeaf(usage, names)],
  ['a SPIFFE ID and another URI', () => withLeaf(usage, alternativeNames(uri(id), uri('https://example.org'))), /2 URI names/, () => withLeaf(usage, names)],
  [
    'a URI that is no SPIFFE ID',
    () => ({ ...withLeaf(usage, alternativeNames(uri('https://example.org/web'))), spiffe_id: 'https://example.org/web' }),
    /scheme/,
    () => withLeaf(usage, names),
  ],
  [
    'a SPIFFE ID without a path',
    () => ({ ...withLeaf(usage, alternativeNames(uri('spiffe://example.org'))), spiffe_id: 'spiffe://example.org' }),
    /no path/,
    () => ({ ...withLeaf(usage, alternativeNames(uri('spiffe://example.org/w'))), spiffe_id: 'spiffe://example.org/w' }),
  ],
  [
    'a SPIFFE ID in the message that is not the one in the certificate',
    () => message({ spiffe_id: 'spiffe://example.org/other' }),
    /names spiffe:\/\/example\.org\/web/,
    () => message({ spiffe_id: id }),
  ],
  ['no SPIFFE ID in the message', () => message({ spiffe_id: '' }), /names/, () => message()],
  ['a leaf of version 1', () => withLeaf(), /0 URI names/, () => withLeaf(usage, names)],
  [
    'an intermediate that is not a CA',
    () => between(keyUsage('keyCertSign'), basicConstraints(false)),
    /intermediate 1 is not a CA/,
    () => between(keyUsage('keyCertSign'), basicConstraints(true)),
  ],
  [
    'an intermediate without basic constraints',
    () => between(keyUsage('keyCertSign')),
    /intermediate 1 is not a CA/,
    () => between(keyUsage('keyCertSign'), basicConstraints(true, 0)),
  ],
  [
    'an intermediate that may not sign certificates',
    () => between(keyUsage('cRLSign', 'digitalSignature'), basicConstraints(true)),
    /intermediate 1 may not sign/,
    () => between(keyUsage('cRLSign', 'keyCertSign'), basicConstraints(true)),
  ],
  [
    'an intermediate without key usage',
    () => between(basicConstraints(true)),
    /intermediate 1 may not sign/,
    () => between(basicConstraints(true), keyUsage('keyCertSign'), names),
  ],
  ['the leaf twice', () => withChain(leaf()), /intermediate 1 is not a CA/, () => withChain(authority())],
  [
    'a wrong one after a right intermediate',
    () => withChain(authority(), authority({ extensions: [basicConstraints(true)] })),
    /intermediate 2 may not sign/,
    () => withChain(authority(), authority()),
  ],
  [
    'a certificate whose last day no calendar has',
    () => message({ x509_svid: spoiled('260102000000Z', '269902000000Z') }),
    /./,
    () => message({ x509_svid: spoiled('260102000000Z', '261202000000Z') }),
  ],
  [
    'alternative names that are not the list that they must be',
    () => message({ x509_svid: spoiled('\x30\x1a\x86\x18spiffe', '\x04\x1a\x86\x18spiffe') }),
    /./,
    () => message({ x509_svid: spoiled('\x30\x1a\x86\x18spiffe', '\x30\x1a\x86\x18spiffe') }),
  ],
  [
    'an extension that comes twice (RFC 5280, 4.2)',
    () => withLeaf(usage, alternativeNames(uri('spiffe://example.org/other')), names),
    /./,
    () => withLeaf(usage, names),
  ],
  [
    'a second word about being a CA that takes the first one back',
    () => withLeaf(usage, basicConstraints(true), names, basicConstraints(false)),
    /./,
    () => withLeaf(usage, names, basicConstraints(false)),
  ],
  ['no certificate', () => message({ x509_svid: Buffer.alloc(0) }), /no certificate/, () => message()],
  ['a corrupt certificate', () => message({ x509_svid: Buffer.from('not a certificate') }), /certificate 1 cannot be read/, () => message()],
  ['PEM instead of DER', () => message({ x509_svid: Buffer.from(new X509Certificate(leaf()).toString()) }), /certificate 1 cannot be read/, () => message()],
  ['no key', () => message({ x509_svid_key: Buffer.alloc(0) }), /no private key/, () => message()],
  ['a corrupt key', () => message({ x509_svid_key: Buffer.from('not a key') }), /./, () => message({ x509_svid_key: made.pkcs8(made.leafKey) })],
  ["another certificate's key", () => message({ x509_svid_key: made.pkcs8(made.authorityKey) }), /does not belong/, () => message()],
  ['a key of another kind', () => message({ x509_svid_key: made.pkcs8(made.newKey('P-384')) }), /does not belong/, () => message()],
  ['a key that is not PKCS#8', () => message({ x509_svid_key: made.leafKey.export({ type: 'sec1', format: 'der' }) }), /./, () => message()],
]

describe('refuses', () => {
  for (const [what, wrong, why, neighbour] of cases)
    test(what, () => {
      assert.equal(verdict(neighbour()), undefined, 'the neighbour')
      assert.match(verdict(wrong()) ?? '', why, 'it was accepted or refused for another reason')
    })
})

test('a leaf that is a CA looks like none to Node, which is why there is a reader of our own', () => {
  assert.equal(new X509Certificate(leaf({ extensions: [usage, basicConstraints(true), names] })).ca, false)
})
