// Just enough ASN.1 DER to write certificates that are wrong in one thing, which a library would not write.

/** One element: the tag, then the length in DER's shortest form, then the content. */
export function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content)
  const length = bytesOf(body.length.toString(16))
  return Buffer.concat([Buffer.from(body.length < 0x80 ? [tag] : [tag, 0x80 | length.length]), length, body])
}

const bytesOf = (hex: string): Buffer => Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')

export const sequence = (...content: readonly Buffer[]): Buffer => der(0x30, ...content)

/** A positive INTEGER from its big-endian bytes. */
export function integer(bytes: Buffer): Buffer {
  const hex = bytes.toString('hex').replace(/^(00)+(?=.)/, '')
  return der(0x02, bytesOf(hex < '8' ? hex : `00${hex}`))
}

export const boolean = (value: boolean): Buffer => der(0x01, Buffer.from([value ? 0xff : 0]))

export const octets = (content: Buffer): Buffer => der(0x04, content)

/** A BIT STRING; the last byte may have unused bits. */
export const bits = (content: Buffer, unused = 0): Buffer => der(0x03, Buffer.from([unused]), content)

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const base128 = (arc: number): number[] => (arc < 0x80 ? [arc] : [...base128(arc >>> 7).map((byte) => byte | 0x80), arc & 0x7f])
  return der(0x06, Buffer.from([first * 40 + second, ...rest].flatMap(base128)))
}

export const printable = (text: string): Buffer => der(0x13, Buffer.from(text, 'ascii'))

/** UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280, 4.1.2.5); milliseconds are cut off. */
export function time(milliseconds: number): Buffer {
  const digits = new Date(milliseconds).toISOString().replace(/[-:T]|\.\d+/g, '')
  return digits < '2050' ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits))
}
