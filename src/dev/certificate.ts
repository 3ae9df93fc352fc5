// Writes X.509 certificates as SPIRE does, and reads from them what node:crypto does not tell.
import { createPublicKey, hash, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto'
import { bits, boolean, der, elementsOf, integer, octets, oid, printable, sequence, time } from './der.ts'

const attributeOids = { C: '2.5.4.6', O: '2.5.4.10', CN: '2.5.4.3', serialNumber: '2.5.4.5' } as const

/** Distinguished name, in order: attribute and value, PrintableString. */
export type Name = readonly (readonly [keyof typeof attributeOids, string])[]

export interface CertificateContent {
  /** The private key; what is certified is its public half. */
  readonly key: KeyObject
  readonly subject: Name
  /** Who signs; left out, the certificate is self-signed. */
  readonly issuer?: { readonly key: KeyObject; readonly subject: Name }
  readonly serial?: Buffer
  /** Milliseconds since 1970, whole seconds. */
  readonly notBefore: number
  readonly notAfter: number
  readonly ca: boolean
  readonly uris: readonly string[]
  readonly dnsNames?: readonly string[]
}

const nameDer = (name: Name): Buffer => sequence(...name.map(([type, value]) => der(0x31, sequence(oid(attributeOids[type]), printable(value)))))

/** Up to 128 random bits; half of them need a leading zero byte in DER, as SPIRE's do. */
export const randomSerial = (): Buffer => randomBytes(16)

/** Any function of the public key will do (RFC 5280, 4.2.1.2). */
const keyIdentifier = (key: KeyObject): Buffer => hash('sha1', publicDer(key), 'buffer')
const publicDer = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' })

const extension = (id: string, critical: boolean, value: Buffer): Buffer => sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(value))
const keyUsage = '2.5.29.15'
const basicConstraints = '2.5.29.19'
const subjectAltName = '2.5.29.17'

const authorityExtensions = [
  extension(keyUsage, true, bits(Buffer.from([0b0000_0110]), 1)), // keyCertSign, cRLSign
  extension(basicConstraints, true, sequence(boolean(true))),
]
const leafExtensions = [
  extension(keyUsage, true, bits(Buffer.from([0b1010_1000]), 3)), // digitalSignature, keyEncipherment, keyAgreement
  extension('2.5.29.37', false, sequence(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2'))), // for servers and clients
  extension(basicConstraints, true, sequence()),
]

/** Makes one X.509 v3 certificate, in DER. */
export function createCertificate({ dnsNames = [], ...content }: CertificateContent): Buffer {
  const { issuer = content } = content
  const algorithm = issuer.key.asymmetricKeyType === 'rsa' ? sequence(oid('1.2.840.113549.1.1.11'), der(0x05)) : sequence(oid('1.2.840.10045.4.3.2'))
  const names = [...dnsNames.map((name) => der(0x82, Buffer.from(name))), ...content.uris.map((uri) => der(0x86, Buffer.from(uri)))]
  const extensions = [
    ...(content.ca ? authorityExtensions : leafExtensions),
    extension('2.5.29.14', false, octets(keyIdentifier(content.key))),
    extension('2.5.29.35', false, sequence(der(0x80, keyIdentifier(issuer.key)))),
    // Without a subject the SAN is the only name there is, and must be critical (RFC 5280, 4.2.1.6).
    ...(names.length > 0 ? [extension(subjectAltName, content.subject.length === 0, sequence(...names))] : []),
  ]
  const toBeSigned = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(content.serial ?? randomSerial()),
    algorithm,
    nameDer(issuer.subject),
    sequence(time(content.notBefore), time(content.notAfter)),
    nameDer(content.subject),
    publicDer(content.key),
    der(0xa3, sequence(...extensions)),
  )
  return sequence(toBeSigned, algorithm, bits(sign('sha256', toBeSigned, issuer.key)))
}

export type ReadCertificate = ReturnType<typeof readCertificate>

/** What a verifier must know, also what node:crypto does not say: its `ca` is not the cA flag, its `keyUsage` the extended one. */
export function readCertificate(raw: Buffer) {
  const x509 = new X509Certificate(raw)
  const elements = elementsOf(x509.raw)
  // What is in the OCTET STRING behind the identifier; the last element of a certificate is none.
  const valueOf = (id: string) => {
    const at = elements.findIndex(({ tag, content }) => tag === 0x06 && content.equals(oid(id).subarray(2)))
    return elementsOf(elements.slice(at).find(({ tag }) => tag === 0x04)?.content ?? Buffer.alloc(0))
  }
  const usages = valueOf(keyUsage)[0]?.content[1] ?? 0
  return {
    x509,
    version: elements[2]?.tag === 0xa0 ? (elements[3]?.content[0] ?? 0) + 1 : 1,
    /** The cA flag of BasicConstraints. */
    ca: valueOf(basicConstraints).some(({ tag, content }) => tag === 0x01 && content[0] !== 0),
    digitalSignature: (usages & 0b1000_0000) !== 0,
    keyCertSign: (usages & 0b0000_0100) !== 0,
    /** In the order of the certificate. */
    uris: valueOf(subjectAltName).flatMap(({ tag, content }) => (tag === 0x86 ? [content.toString()] : [])),
  }
}
