// The few parts of a certificate that Node does not show. Its X509Certificate.keyUsage is the extended key
// usage, and its .ca answers whether OpenSSL would take the certificate for a CA, not what the cA flag says.

interface Element {
  readonly tag: number
  readonly content: Buffer
  /** Offset of the first byte after this element. */
  readonly end: number
}

/** The part of X.509 extensions that SPIFFE has rules for (X509-SVID, section 4). */
export interface CertificateFacts {
  readonly subjectEmpty: boolean
  readonly commonName: string | undefined
  readonly ca: boolean
  /** undefined: the extension is absent. */
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined
  readonly uris: readonly string[]
  readonly version: number
  /** OID of the signature algorithm, dotted. */
  readonly signatureAlgorithm: string
}

const keyUsages = ['digitalSignature', 'nonRepudiation', 'keyEncipherment', 'dataEncipherment', 'keyAgreement', 'keyCertSign', 'cRLSign'] as const
export type KeyUsage = (typeof keyUsages)[number]

const tagBoolean = 0x01
const tagBitString = 0x03
const tagOid = 0x06
const tagSequence = 0x30
const tagContext0 = 0xa0
const tagContext3 = 0xa3
const tagUri = 0x86

/** Reads one element at `offset`. Throws RangeError on anything that is not definite-length DER within the buffer. */
export function readElement(der: Buffer, offset: number): Element {
  const tag = der[offset]
  const first = der[offset + 1]
  if (tag === undefined || first === undefined) throw new RangeError('DER ends early')
  let start = offset + 2
  let length = first
  if (first >= 0x80) {
    const bytes = first & 0x7f
    if (bytes === 0 || bytes > 4) throw new RangeError('DER length is indefinite or too large')
    if (start + bytes > der.length) throw new RangeError('DER ends early')
    length = der.readUIntBE(start, bytes)
    start += bytes
  }
  const end = start + length
  if (end > der.length) throw new RangeError('DER ends early')
  return { tag, content: der.subarray(start, end), end }
}

function children(der: Buffer): Element[] {
  const found: Element[] = []
  for (let offset = 0; offset < der.length; ) {
    const element = readElement(der, offset)
    found.push(element)
    offset = element.end
  }
  return found
}

function oid(content: Buffer): string {
  const arcs: number[] = []
  let value = 0
  for (const byte of content) {
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) {
      if (arcs.length === 0) arcs.push(Math.min(2, Math.floor(value / 40)), value - 40 * Math.min(2, Math.floor(value / 40)))
      else arcs.push(value)
      value = 0
    }
  }
  return arcs.join('.')
}

/** The members of the sequence that an extension's value must be, and nothing behind it. */
function members(value: Buffer): Element[] {
  const sequence = readElement(value, 0)
  if (sequence.tag !== tagSequence || sequence.end !== value.length) throw new RangeError('an extension is not the list that it must be')
  return children(sequence.content)
}

/** Reads the facts of one DER certificate. Throws RangeError when it is not one. */
export function readCertificate(der: Buffer): CertificateFacts {
  const certificate = readElement(der, 0)
  const [tbs, algorithm] = children(certificate.content)
  if (tbs === undefined || algorithm === undefined) throw new RangeError('not a certificate')
  const fields = children(tbs.content)
  const versioned = fields[0]?.tag === tagContext0
  const version = versioned ? (children(fields[0]?.content ?? Buffer.alloc(0))[0]?.content[0] ?? 0) + 1 : 1
  const subject = fields[versioned ? 5 : 4]
  if (subject === undefined) throw new RangeError('not a certificate')
  const extensions = fields.find((field) => field.tag === tagContext3)
  const values = new Map<string, Buffer>()
  for (const extension of extensions === undefined ? [] : children(children(extensions.content)[0]?.content ?? Buffer.alloc(0))) {
    const parts = children(extension.content)
    const name = parts[0]
    const value = parts.at(-1)
    if (name?.tag !== tagOid || value === undefined) continue
    // Whoever reads the first and whoever reads the last would see two certificates (RFC 5280, section 4.2).
    if (values.has(oid(name.content))) throw new RangeError('an extension comes twice')
    values.set(oid(name.content), value.content)
  }
  return {
    version,
    subjectEmpty: subject.content.length === 0,
    commonName: readCommonName(subject.content),
    signatureAlgorithm: oid(children(algorithm.content)[0]?.content ?? Buffer.alloc(0)),
    ca: readCa(values.get('2.5.29.19')),
    keyUsage: readKeyUsage(values.get('2.5.29.15')),
    uris: readUris(values.get('2.5.29.17')),
  }
}

function readCommonName(subject: Buffer): string | undefined {
  for (const set of children(subject)) {
    for (const attribute of children(set.content)) {
      const [type, value] = children(attribute.content)
      if (type !== undefined && value !== undefined && oid(type.content) === '2.5.4.3') return value.content.toString('utf8')
    }
  }
  return undefined
}

function readCa(value: Buffer | undefined): boolean {
  if (value === undefined) return false
  const flag = members(value)[0]
  return flag?.tag === tagBoolean && flag.content[0] !== 0
}

function readKeyUsage(value: Buffer | undefined): ReadonlySet<KeyUsage> | undefined {
  if (value === undefined) return undefined
  const bits = readElement(value, 0)
  if (bits.tag !== tagBitString || bits.end !== value.length) throw new RangeError('keyUsage is not a bit string')
  return new Set(keyUsages.filter((_, index) => ((bits.content[1 + (index >> 3)] ?? 0) & (0x80 >> (index & 7))) !== 0))
}

function readUris(value: Buffer | undefined): string[] {
  if (value === undefined) return []
  return members(value)
    .filter((name) => name.tag === tagUri)
    .map((name) => name.content.toString('latin1'))
}
