// Just enough ASN.1 DER to write a certificate and to look into one; Node can parse certificates but not make them.

/** One element: the tag, then the length in DER's shortest form, then the content. */
export function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content)
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body])
  const hex = body.length.toString(16)
  const length = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body])
}

export const sequence = (...content: readonly Buffer[]): Buffer => der(0x30, ...content)

/** A positive INTEGER from its big-endian bytes. */
export function integer(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0)
  const short = first === -1 ? Buffer.from([0]) : bytes.subarray(first)
  return der(0x02, ...((short[0] ?? 0) >= 0x80 ? [Buffer.from([0])] : []), short)
}

export const boolean = (value: boolean): Buffer => der(0x01, Buffer.from([value ? 0xff : 0]))

export const octets = (content: Buffer): Buffer => der(0x04, content)

/** A BIT STRING; the last byte may have unused bits. */
export const bits = (content: Buffer, unused = 0): Buffer => der(0x03, Buffer.from([unused]), content)

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f]
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80)
    return groups
  })
  return der(0x06, Buffer.from(bytes))
}

export const printable = (text: string): Buffer => der(0x13, Buffer.from(text, 'ascii'))

/** UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280, 4.1.2.5); milliseconds are cut off. */
export function time(milliseconds: number): Buffer {
  const digits = new Date(milliseconds).toISOString().replace(/[-:T]|\.\d+/g, '')
  return digits < '2050' ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits))
}

export type DerElement = ReturnType<typeof readDer>[number]

/** Reads all the elements that lie one after another; throws on anything cut short. */
export function readDer(bytes: Buffer) {
  // `raw`: tag, length and content.
  const elements: { tag: number; content: Buffer; raw: Buffer }[] = []
  for (let at = 0; at < bytes.length; ) {
    const [tag = 0, first = 0x80] = bytes.subarray(at)
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f
    const start = at + 2 + lengthBytes
    if (first === 0x80 || lengthBytes > 4 || start > bytes.length) throw new Error('DER: bad length')
    const end = start + (lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes))
    if (end > bytes.length) throw new Error('DER: cut short')
    elements.push({ tag, content: bytes.subarray(start, end), raw: bytes.subarray(at, end) })
    at = end
  }
  return elements
}
