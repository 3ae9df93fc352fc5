// Certificates that are right or wrong in exactly one way, written here from DER, and the messages that carry them.
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import type { X509SvidMessage } from '../../src/spiffe/x509-svid.ts'
import { bits, boolean, der, integer, octets, oid, printable, sequence, time } from '../support/der.ts'

export const newKey = (curve: 'P-256' | 'P-384' = 'P-256'): KeyObject => generateKeyPairSync('ec', { namedCurve: curve }).privateKey
export const newRsaKey = (): KeyObject => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
export const newEd25519Key = (): KeyObject => generateKeyPairSync('ed25519').privateKey
export const pkcs8 = (key: KeyObject): Buffer => key.export({ type: 'pkcs8', format: 'der' })

const extension = (id: string, critical: boolean, value: Buffer) => sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(value))

const usageBits = ['digitalSignature', 'nonRepudiation', 'keyEncipherment', 'dataEncipherment', 'keyAgreement'] as const
type Usage = (typeof usageBits)[number] | 'keyCertSign' | 'cRLSign' | 'encipherOnly' | 'decipherOnly'
const usageNames: readonly Usage[] = [...usageBits, 'keyCertSign', 'cRLSign', 'encipherOnly', 'decipherOnly']

export const keyUsage = (...usages: Usage[]): Buffer => {
  const bytes = Buffer.alloc(usages.includes('decipherOnly') ? 2 : 1)
  for (const usage of usages) {
    const bit = usageNames.indexOf(usage)
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7))
  }
  return extension('2.5.29.15', true, der(0x03, Buffer.from([bytes.length === 2 ? 7 : 0]), bytes))
}
/** undefined: the extension is there and says nothing, which means false. */
export const basicConstraints = (ca?: boolean, pathLength?: number): Buffer =>
  extension('2.5.29.19', true, sequence(...(ca === undefined ? [] : [boolean(ca)]), ...(pathLength === undefined ? [] : [integer(Buffer.from([pathLength]))])))
export const uri = (text: string): Buffer => der(0x86, Buffer.from(text))
export const dns = (text: string): Buffer => der(0x82, Buffer.from(text))
export const alternativeNames = (...names: Buffer[]): Buffer => extension('2.5.29.17', false, sequence(...names))
export const extendedKeyUsage: Buffer = extension('2.5.29.37', false, sequence(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2')))

export const nameOf = (commonName: string): Buffer => sequence(...(commonName === '' ? [] : [der(0x31, sequence(oid('2.5.4.3'), printable(commonName)))]))

export interface Content {
  readonly key: KeyObject
  readonly issuerKey?: KeyObject
  /** Common names. */
  readonly subject?: string
  readonly issuer?: string
  readonly serial?: Buffer
  readonly notBefore?: number
  readonly notAfter?: number
  /** Empty: a version 1 certificate. */
  readonly extensions: readonly Buffer[]
}

export function certificate(content: Content): Buffer {
  const { key, issuerKey = key, extensions } = content
  const kind = issuerKey.asymmetricKeyType
  const algorithm = kind === 'rsa' ? sequence(oid('1.2.840.113549.1.1.11'), der(0x05)) : sequence(oid(kind === 'ec' ? '1.2.840.10045.4.3.2' : '1.3.101.112'))
  const toBeSigned = sequence(
    ...(extensions.length > 0 ? [der(0xa0, integer(Buffer.from([2])))] : []),
    integer(content.serial ?? randomBytes(8)),
    algorithm,
    nameOf(content.issuer ?? 'issuer'),
    sequence(time(content.notBefore ?? Date.UTC(2026, 0, 1)), time(content.notAfter ?? Date.UTC(2026, 0, 2))),
    nameOf(content.subject ?? ''),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    ...(extensions.length > 0 ? [der(0xa3, sequence(...extensions))] : []),
  )
  return sequence(toBeSigned, algorithm, bits(sign(kind === 'ed25519' ? undefined : 'sha256', toBeSigned, issuerKey)))
}

export const id = 'spiffe://example.org/web'
export const leafKey: KeyObject = newKey()
export const authorityKey: KeyObject = newKey()

export const goodLeafExtensions: readonly Buffer[] = [
  keyUsage('digitalSignature', 'keyEncipherment', 'keyAgreement'),
  extendedKeyUsage,
  basicConstraints(),
  alternativeNames(uri(id)),
]
export const leaf = (change: Partial<Content> = {}): Buffer => certificate({ key: leafKey, issuerKey: authorityKey, extensions: goodLeafExtensions, ...change })

export const goodAuthorityExtensions: readonly Buffer[] = [
  keyUsage('keyCertSign', 'cRLSign'),
  basicConstraints(true),
  alternativeNames(uri('spiffe://example.org')),
]
export const authority = (change: Partial<Content> = {}): Buffer =>
  certificate({ key: authorityKey, subject: 'issuer', extensions: goodAuthorityExtensions, ...change })

export const message = (change: Partial<X509SvidMessage> = {}): X509SvidMessage => ({
  spiffe_id: id,
  x509_svid: leaf(),
  x509_svid_key: pkcs8(leafKey),
  hint: '',
  ...change,
})
