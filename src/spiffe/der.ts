// The few parts of a certificate that Node does not show. Its X509Certificate.keyUsage is the extended key
// usage, and its .ca answers whether OpenSSL would take the certificate for a CA, not what the cA flag says.

interface Element {
  readonly tag: number
  readonly content: Buffer
  /** Offset of the first byte after this element. */
  readonly end: number
}

/** The part of X.509 extensions that SPIFFE has rules for (X509-SVID, section 4), and what AWS asks besides. */
export type CertificateFacts = ReturnType<typeof readCertificate>

const keyUsages = ['digitalSignature', 'nonRepudiation', 'keyEncipherment', 'dataEncipherment', 'keyAgreement', 'keyCertSign', 'cRLSign'] as const

/** Bytes that identify an element; `version`, `extensions` and `uri` are context-specific ones. */
const tags = { boolean: 0x01, bitString: 0x03, oid: 0x06, sequence: 0x30, version: 0xa0, extensions: 0xa3, uri: 0x86 } as const

/** Reads one element at `offset`. Throws RangeError on anything that is not definite-length DER within the buffer. */
export function readElement(der: Buffer, offset: number): Element {
  const tag = der[offset]
  const first = der[offset + 1]
  if (tag === undefined || first === undefined) throw new RangeError('DER ends early')
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f
  if (first === 0x80 || lengthBytes > 4) throw new RangeError('DER length is indefinite or too large')
  const start = offset + 2 + lengthBytes
  if (start > der.length) throw new RangeError('DER ends early')
  const end = start + (lengthBytes === 0 ? first : der.readUIntBE(offset + 2, lengthBytes))
  if (end > der.length) throw new RangeError('DER ends early')
  return { tag, content: der.subarray(start, end), end }
}

/** The elements inside of another one; none in one that is absent. */
function inside(element: Element | undefined): Element[] {
  const found: Element[] = []
  const der = element?.content ?? Buffer.alloc(0)
  for (let offset = 0; offset < der.length; offset = found.at(-1)?.end ?? der.length) found.push(readElement(der, offset))
  return found
}

/** The dotted form of an OBJECT IDENTIFIER; undefined for anything else. */
function oid(element: Element | undefined): string | undefined {
  if (element?.tag !== tags.oid) return undefined
  const arcs: number[] = []
  let value = 0
  for (const byte of element.content) {
    value = value * 128 + (byte & 0x7f)
    if (byte >= 0x80) continue
    arcs.push(value)
    value = 0
  }
  // The first two are in one: 40 times the first, which is 2 at most, and the second.
  const [both = 0, ...rest] = arcs
  const first = Math.min(2, Math.floor(both / 40))
  return [first, both - 40 * first, ...rest].join('.')
}

/** The one element that an extension's value must be, and nothing behind it; undefined without the extension. */
function valueOf(extensions: ReadonlyMap<string, Buffer>, id: string, tag: 'sequence' | 'bitString'): Element | undefined {
  const value = extensions.get(id)
  if (value === undefined) return undefined
  const element = readElement(value, 0)
  if (element.tag !== tags[tag] || element.end !== value.length) throw new RangeError(`the extension ${id} is not the ${tag} that it must be`)
  return element
}

/** Reads the facts of one DER certificate. Throws RangeError when it is not one. */
export function readCertificate(der: Buffer) {
  const [tbs, algorithm] = inside(readElement(der, 0))
  const fields = inside(tbs)
  const version = fields[0]?.tag === tags.version ? fields[0] : undefined
  const subject = fields[version === undefined ? 4 : 5]
  const signatureAlgorithm = oid(inside(algorithm)[0])
  if (subject === undefined || signatureAlgorithm === undefined) throw new RangeError('not a certificate')
  const extensions = readExtensions(fields)
  const names = inside(subject).flatMap(inside).map(inside)
  const [ca] = inside(valueOf(extensions, '2.5.29.19', 'sequence'))
  const usage = valueOf(extensions, '2.5.29.15', 'bitString')?.content
  // Bits from the left, behind a byte that counts the unused ones.
  const isSet = (bits: Buffer, index: number) => ((bits[1 + (index >> 3)] ?? 0) & (0x80 >> (index & 7))) !== 0
  return Object.freeze({
    version: version === undefined ? 1 : (inside(version)[0]?.content[0] ?? 0) + 1,
    subjectEmpty: subject.content.length === 0,
    commonName: names.find(([type]) => oid(type) === '2.5.4.3')?.[1]?.content.toString('utf8'),
    /** OID, dotted. */
    signatureAlgorithm,
    ca: ca?.tag === tags.boolean && ca.content[0] !== 0,
    /** undefined: the extension is absent. */
    keyUsage: usage && new Set(keyUsages.filter((_, index) => isSet(usage, index))),
    uris: inside(valueOf(extensions, '2.5.29.17', 'sequence'))
      .filter((name) => name.tag === tags.uri)
      .map((name) => name.content.toString('latin1')),
  })
}

/** The values of the extensions, by their OIDs. */
function readExtensions(fields: readonly Element[]): ReadonlyMap<string, Buffer> {
  const values = new Map<string, Buffer>()
  for (const extension of inside(inside(fields.find((field) => field.tag === tags.extensions))[0])) {
    const parts = inside(extension)
    const name = oid(parts[0])
    const value = parts.at(-1)
    if (name === undefined || value === undefined) continue
    // Whoever reads the first and whoever reads the last would see two certificates (RFC 5280, section 4.2).
    if (values.has(name)) throw new RangeError('an extension comes twice')
    values.set(name, value.content)
  }
  return values
}
