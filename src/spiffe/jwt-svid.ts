// JWT-SVIDs: the claims of a compact token, without a look at its signature. JWT-SVID standard, sections 2 to 4.
import { errorText, failure } from '../core/errors.ts'
import { type Secret, secret } from '../core/secret.ts'
import { parseSpiffeId } from './spiffe-id.ts'

export interface JwtSvid {
  readonly compact: Secret<string>
  /** Its SPIFFE ID. */
  readonly subject: string
  readonly issuer: string | undefined
  readonly audience: readonly string[]
  readonly algorithm: string
  /** Wall clock of the issuer, milliseconds. */
  readonly issuedAt: number | undefined
  readonly expiresAt: number
}

export interface JwtSvidMessage {
  readonly spiffe_id: string
  readonly svid: string
  readonly hint: string
}

const algorithms = /^(RS|ES|PS)(256|384|512)$/

/** The JSON object in one part of a compact JWS. Throws what JSON.parse throws, or an Error. */
export const decodePart = (part: string | undefined): Record<string, unknown> => {
  const value: unknown = JSON.parse(Buffer.from(part ?? '', 'base64url').toString('utf8'))
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('a part of it is not a JSON object')
  return value as Record<string, unknown>
}

/** Milliseconds of a NumericDate, if it is one that a Date can hold. */
const instant = (seconds: unknown): number | undefined => (typeof seconds === 'number' && Math.abs(seconds) <= 8.64e12 ? seconds * 1000 : undefined)

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/** When a token ends, if it is one of a SPIFFE ID; wall clock, milliseconds. */
export function expiryOf(compact: string): number | undefined {
  try {
    const { sub, exp } = decodePart(compact.split('.')[1])
    parseSpiffeId(text(sub) ?? '')
    return instant(exp)
  } catch {
    return undefined
  }
}

/**
 * Parses one token of the agent. Its signature is the audience's business; here counts whether it is what was
 * asked for and when it ends. Throws jwt_svid_invalid.
 */
export function parseJwtSvid(message: JwtSvidMessage): JwtSvid {
  try {
    const parts = message.svid.split('.')
    if (parts.length !== 3) throw new Error('it is not a compact JWS')
    const header = decodePart(parts[0])
    const claims = decodePart(parts[1])
    const algorithm = text(header['alg']) ?? ''
    if (!algorithms.test(algorithm)) throw new Error(`its algorithm ${JSON.stringify(algorithm.slice(0, 20))} is not allowed (JWT-SVID 2.1)`)
    if (header['typ'] !== undefined && header['typ'] !== 'JWT' && header['typ'] !== 'JOSE') throw new Error('its type is neither JWT nor JOSE (JWT-SVID 2.3)')
    const subject = parseSpiffeId(text(claims['sub']) ?? '')
    if (subject !== message.spiffe_id) throw new Error(`it belongs to ${subject.slice(0, 300)}`)
    const audience = (Array.isArray(claims['aud']) ? claims['aud'] : [claims['aud']]).filter((one): one is string => typeof one === 'string')
    if (audience.length === 0) throw new Error('it has no audience (JWT-SVID 3.2)')
    const expiresAt = instant(claims['exp'])
    if (expiresAt === undefined) throw new Error('it has no expiry that a calendar has (JWT-SVID 3.3)')
    const issuer = text(claims['iss'])
    const issuedAt = instant(claims['iat'])
    return Object.freeze({ compact: secret(message.svid), subject, issuer, audience: Object.freeze(audience), algorithm, issuedAt, expiresAt })
  } catch (error) {
    // The token itself stays out of the message: JSON.parse quotes what it could not read.
    const why = error instanceof SyntaxError ? 'a part of it is not JSON' : errorText(error)
    throw failure('jwt_svid_invalid', `the JWT-SVID of ${JSON.stringify(message.spiffe_id.slice(0, 300))}: ${why}`)
  }
}
