// Writes X.509 certificates as SPIRE does, and reads from them what node:crypto does not tell.
import { createPublicKey, hash, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto'
import { AsnConvert, AsnIntegerBigIntConverter, OctetString } from '@peculiar/asn1-schema'
import * as asn1 from '@peculiar/asn1-x509'

const attributeOids = { C: '2.5.4.6', O: '2.5.4.10', CN: '2.5.4.3', serialNumber: '2.5.4.5' } as const

/** Distinguished name, in order: attribute and value, PrintableString. */
export type Name = readonly (readonly [keyof typeof attributeOids, string])[]

export interface CertificateContent {
  /** The private key; what is certified is its public half. */
  readonly key: KeyObject
  readonly subject: Name
  /** Who signs; left out, the certificate is self-signed. */
  readonly issuer?: { readonly key: KeyObject; readonly subject: Name }
  readonly serial?: bigint
  /** Milliseconds since 1970, whole seconds. */
  readonly notBefore: number
  readonly notAfter: number
  readonly ca: boolean
  readonly uris: readonly string[]
  readonly dnsNames?: readonly string[]
}

const nameOf = (name: Name): asn1.Name => {
  const attributes = name.map(([type, value]) => ({ type: attributeOids[type], value: new asn1.AttributeValue({ printableString: value }) }))
  return new asn1.Name(attributes.map((one) => new asn1.RelativeDistinguishedName([new asn1.AttributeTypeAndValue(one)])))
}

/** Up to 128 random bits; half of them need a leading zero byte in DER, as SPIRE's do. */
export const randomSerial = (): bigint => BigInt(`0x${randomBytes(16).toString('hex')}`)

const publicDer = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' })
/** Any function of the public key will do (RFC 5280, 4.2.1.2). */
const keyIdentifier = (key: KeyObject) => new asn1.SubjectKeyIdentifier(hash('sha1', publicDer(key), 'buffer'))

const extension = (extnID: string, critical: boolean, value: object) =>
  new asn1.Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) })

const { digitalSignature, keyEncipherment, keyAgreement, keyCertSign, cRLSign } = asn1.KeyUsageFlags
const authorityExtensions = [
  extension(asn1.id_ce_keyUsage, true, new asn1.KeyUsage(keyCertSign | cRLSign)),
  extension(asn1.id_ce_basicConstraints, true, new asn1.BasicConstraints({ cA: true })),
]
const leafExtensions = [
  extension(asn1.id_ce_keyUsage, true, new asn1.KeyUsage(digitalSignature | keyEncipherment | keyAgreement)),
  extension(asn1.id_ce_extKeyUsage, false, new asn1.ExtendedKeyUsage([asn1.id_kp_serverAuth, asn1.id_kp_clientAuth])),
  extension(asn1.id_ce_basicConstraints, true, new asn1.BasicConstraints()),
]

/** Makes one X.509 v3 certificate, in DER. */
export function createCertificate({ dnsNames = [], ...content }: CertificateContent): Buffer {
  const { issuer = content, subject, uris } = content
  const names = [...dnsNames.map((dNSName) => ({ dNSName })), ...uris.map((uri) => ({ uniformResourceIdentifier: uri }))].map(
    (one) => new asn1.GeneralName(one),
  )
  const rsa = issuer.key.asymmetricKeyType === 'rsa'
  const signature = new asn1.AlgorithmIdentifier(rsa ? { algorithm: '1.2.840.113549.1.1.11', parameters: null } : { algorithm: '1.2.840.10045.4.3.2' })
  const tbsCertificate = new asn1.TBSCertificate({
    version: asn1.Version.v3,
    serialNumber: AsnIntegerBigIntConverter.toASN(content.serial ?? randomSerial()).valueBlock.valueHex,
    signature,
    issuer: nameOf(issuer.subject),
    validity: new asn1.Validity({ notBefore: new Date(content.notBefore), notAfter: new Date(content.notAfter) }),
    subject: nameOf(subject),
    subjectPublicKeyInfo: AsnConvert.parse(publicDer(content.key), asn1.SubjectPublicKeyInfo),
    extensions: new asn1.Extensions([
      ...(content.ca ? authorityExtensions : leafExtensions),
      extension(asn1.id_ce_subjectKeyIdentifier, false, keyIdentifier(content.key)),
      extension(asn1.id_ce_authorityKeyIdentifier, false, new asn1.AuthorityKeyIdentifier({ keyIdentifier: keyIdentifier(issuer.key) })),
      // Without a subject the SAN is the only name there is, and must be critical (RFC 5280, 4.2.1.6).
      ...(names.length > 0 ? [extension(asn1.id_ce_subjectAltName, subject.length === 0, new asn1.SubjectAlternativeName(names))] : []),
    ]),
  })
  const signatureValue = new Uint8Array(sign('sha256', Buffer.from(AsnConvert.serialize(tbsCertificate)), issuer.key)).buffer
  return Buffer.from(AsnConvert.serialize(new asn1.Certificate({ tbsCertificate, signatureAlgorithm: signature, signatureValue })))
}

export type ReadCertificate = ReturnType<typeof readCertificate>

/** What a verifier must know, also what node:crypto does not say: its `ca` is not the cA flag, its `keyUsage` the extended one. */
export function readCertificate(raw: Buffer) {
  const x509 = new X509Certificate(raw)
  const { version, extensions = [] } = AsnConvert.parse(x509.raw, asn1.Certificate).tbsCertificate
  const valueOf = <T>(id: string, type: new () => T): T | undefined => {
    const found = extensions.find(({ extnID }) => extnID === id)
    return found && AsnConvert.parse(found.extnValue, type)
  }
  const usages = valueOf(asn1.id_ce_keyUsage, asn1.KeyUsage)?.toNumber() ?? 0
  return {
    x509,
    version: version + 1,
    /** The cA flag of BasicConstraints. */
    ca: valueOf(asn1.id_ce_basicConstraints, asn1.BasicConstraints)?.cA === true,
    digitalSignature: (usages & digitalSignature) !== 0,
    keyCertSign: (usages & keyCertSign) !== 0,
    /** In the order of the certificate. */
    uris: [...(valueOf(asn1.id_ce_subjectAltName, asn1.SubjectAlternativeName) ?? [])].flatMap(({ uniformResourceIdentifier: uri }) => uri ?? []),
  }
}
