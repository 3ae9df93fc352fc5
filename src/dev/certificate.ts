// Writes X.509 certificates, right or deliberately wrong, and reads from them what node:crypto does not tell.
import { createPublicKey, hash, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto'
import { bits, boolean, type DerElement, der, integer, octets, oid, printable, readDer, sequence, time } from './der.ts'

/** Distinguished name, in order: attribute and value, PrintableString. */
export type Name = readonly (readonly ['C' | 'O' | 'OU' | 'CN' | 'serialNumber', string])[]

/** Bit numbers of KeyUsage (RFC 5280, 4.2.1.3). */
const keyUsageBits = { digitalSignature: 0, keyEncipherment: 2, keyAgreement: 4, keyCertSign: 5, cRLSign: 6 } as const
export type KeyUsage = keyof typeof keyUsageBits

export interface CertificateContent {
  readonly publicKey: KeyObject
  readonly subject: Name
  readonly issuer: Name
  /** The private key that signs; its public half makes the AuthorityKeyIdentifier. */
  readonly issuerKey: KeyObject
  readonly serial?: Buffer
  /** Milliseconds since 1970, whole seconds. */
  readonly notBefore: number
  readonly notAfter: number
  readonly ca: boolean
  readonly keyUsage: readonly KeyUsage[]
  readonly uris: readonly string[]
  readonly dnsNames?: readonly string[]
}

const attributeOids = { C: '2.5.4.6', O: '2.5.4.10', OU: '2.5.4.11', CN: '2.5.4.3', serialNumber: '2.5.4.5' } as const

const nameDer = (name: Name): Buffer => sequence(...name.map(([type, value]) => der(0x31, sequence(oid(attributeOids[type]), printable(value)))))

/** Up to 128 random bits; half of them need a leading zero byte in DER, as SPIRE's do. */
export const randomSerial = (): Buffer => randomBytes(16)

/** Any function of the public key will do (RFC 5280, 4.2.1.2). */
const keyIdentifier = (key: KeyObject): Buffer => hash('sha1', key.export({ type: 'spki', format: 'der' }), 'buffer')

function signatureOf(key: KeyObject): { algorithm: Buffer; digest: string } {
  if (key.asymmetricKeyType === 'rsa') return { algorithm: sequence(oid('1.2.840.113549.1.1.11'), der(0x05)), digest: 'sha256' }
  return key.asymmetricKeyDetails?.namedCurve === 'secp384r1'
    ? { algorithm: sequence(oid('1.2.840.10045.4.3.3')), digest: 'sha384' }
    : { algorithm: sequence(oid('1.2.840.10045.4.3.2')), digest: 'sha256' }
}

/** All of our bits are in the first byte; DER wants the zero bits behind the last one cut off. */
function keyUsageDer(usages: readonly KeyUsage[]): Buffer {
  const set = usages.map((usage): number => keyUsageBits[usage])
  return bits(Buffer.from([set.reduce((byte, bit) => byte | (0x80 >> bit), 0)]), 7 - Math.max(...set))
}

const extension = (id: string, critical: boolean, value: Buffer): Buffer => sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(value))

/** Makes one X.509 v3 certificate, in DER. Leaves get both extended key usages, as SPIRE's do. */
export function createCertificate(c: CertificateContent): Buffer {
  const { algorithm, digest } = signatureOf(c.issuerKey)
  const names = [...(c.dnsNames ?? []).map((name) => der(0x82, Buffer.from(name))), ...c.uris.map((uri) => der(0x86, Buffer.from(uri)))]
  const extensions = [
    extension('2.5.29.15', true, keyUsageDer(c.keyUsage)),
    ...(c.ca ? [] : [extension('2.5.29.37', false, sequence(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2')))]),
    extension('2.5.29.19', true, c.ca ? sequence(boolean(true)) : sequence()),
    extension('2.5.29.14', false, octets(keyIdentifier(c.publicKey))),
    extension('2.5.29.35', false, sequence(der(0x80, keyIdentifier(createPublicKey(c.issuerKey))))),
    // Without a subject the SAN is the only name there is, and must be critical (RFC 5280, 4.2.1.6).
    ...(names.length > 0 ? [extension('2.5.29.17', c.subject.length === 0, sequence(...names))] : []),
  ]
  const toBeSigned = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(c.serial ?? randomSerial()),
    algorithm,
    nameDer(c.issuer),
    sequence(time(c.notBefore), time(c.notAfter)),
    nameDer(c.subject),
    c.publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  )
  return sequence(toBeSigned, algorithm, bits(sign(digest, toBeSigned, c.issuerKey)))
}

export type ReadCertificate = ReturnType<typeof readCertificate>

/** What a verifier must know, also what node:crypto does not say: its `ca` is not the cA flag, its `keyUsage` the extended one. */
export function readCertificate(raw: Buffer) {
  const inside = (element: DerElement | undefined) => readDer(element?.content ?? Buffer.alloc(0))
  const fields = inside(inside(readDer(raw)[0])[0])
  const extensions = new Map<string | undefined, DerElement | undefined>()
  for (const one of inside(inside(fields.find(({ tag }) => tag === 0xa3))[0])) {
    const parts = inside(one)
    extensions.set(parts[0]?.raw.toString('hex'), parts.at(-1))
  }
  // Each value is an OCTET STRING with one element in it.
  const valueOf = (id: string) => inside(extensions.get(oid(id).toString('hex')))[0]
  const usageByte = valueOf('2.5.29.15')?.content[1] ?? 0
  return {
    x509: new X509Certificate(raw),
    version: fields[0]?.tag === 0xa0 ? (inside(fields[0])[0]?.content[0] ?? 0) + 1 : 1,
    /** The cA flag of BasicConstraints. */
    ca: inside(valueOf('2.5.29.19')).some(({ tag, content }) => tag === 0x01 && content[0] !== 0),
    /** Empty also without the extension. */
    keyUsage: new Set((Object.keys(keyUsageBits) as KeyUsage[]).filter((name) => (usageByte & (0x80 >> keyUsageBits[name])) !== 0)),
    /** In the order of the certificate. */
    uris: inside(valueOf('2.5.29.17'))
      .filter(({ tag }) => tag === 0x86)
      .map(({ content }) => content.toString()),
  }
}
