// Signature Version 4 from the side that checks: the canonical request, the string to sign, and who signed.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { type AwsRequest, refuse } from './aws-request.ts'
import type { Session, Sessions } from './aws-sessions.ts'

export interface Authorization {
  readonly algorithm: string
  /** The access key id, or the certificate's serial number. */
  readonly credential: string
  readonly scope: string
  readonly date: string
  readonly region: string
  readonly service: string
  readonly signedHeaders: readonly string[]
  /** Lower-case hexadecimal. */
  readonly signature: string
}

const format =
  /^(AWS4-[A-Z0-9-]+) Credential=([^/,\s]+)\/((\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request), ?SignedHeaders=([^,\s]+), ?Signature=((?:[0-9a-f]{2})+)$/

/** Takes the Authorization header apart; undefined when it is not in AWS's format. */
export function parseAuthorization(header: string): Authorization | undefined {
  const [, algorithm, credential, scope, date, region, service, signed, signature] = format.exec(header) ?? []
  if (!algorithm || !credential || !scope || !date || !region || !service || !signed || !signature) return undefined
  return { algorithm, credential, scope, date, region, service, signedHeaders: signed.split(';'), signature }
}

const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex')

/** RFC 3986: everything but the unreserved characters, hexadecimal digits in upper case. */
const encode = (text: string): string => encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)

function canonicalQuery(query: string): string {
  if (query === '') return ''
  const pairs = query.split('&').map((pair) => {
    const [, name = '', value = ''] = /^([^=]*)=?(.*)$/s.exec(pair) ?? []
    return [name, value].map((part) => encode(decodeURIComponent(part.replaceAll('+', '%20')))).join('=')
  })
  return pairs.toSorted().join('&')
}

/** The string to sign, rebuilt from the request as it really arrived. */
export function stringToSign(request: AwsRequest, authorization: Authorization): string {
  const headers = authorization.signedHeaders.map((name) => `${name}:${(request.headers[name] ?? '').trim().replace(/ +/g, ' ')}\n`)
  const canonical = [
    request.method,
    request.path.split('/').map(encode).join('/'),
    canonicalQuery(request.query),
    headers.join(''),
    authorization.signedHeaders.join(';'),
    sha256(request.body),
  ].join('\n')
  return [authorization.algorithm, request.headers['x-amz-date'], authorization.scope, sha256(canonical)].join('\n')
}

/** What is wrong with the list of signed headers, if anything: order, case, a missing header, one that must be signed. */
export function signedHeadersProblem(request: AwsRequest, { signedHeaders }: Authorization, required: readonly string[]): string | undefined {
  if (
    signedHeaders.join() !==
    signedHeaders
      .map((name) => name.toLowerCase())
      .toSorted()
      .join()
  )
    return 'SignedHeaders are not sorted or not lower-case'
  const absent = signedHeaders.find((name) => request.headers[name] === undefined)
  if (absent !== undefined) return `the signed header ${absent} was not sent`
  const unsigned = required.find((name) => !signedHeaders.includes(name))
  return unsigned === undefined ? undefined : `the header ${unsigned} is not signed`
}

/** Milliseconds of an X-Amz-Date; NaN unless it is YYYYMMDDTHHMMSSZ. */
export const parseAmzDate = (text: string | undefined): number =>
  /^\d{8}T\d{6}Z$/.test(text ?? '') ? Date.parse((text ?? '').replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z')) : Number.NaN

const hmac = (key: Buffer | string, data: string): Buffer => createHmac('sha256', key).update(data).digest()

/** Whose request this is, by its SigV4 signature with session credentials; refuses as STS does. */
export function authenticate(request: AwsRequest, sessions: Sessions, now: number, region: string | undefined): Session {
  const header = request.headers['authorization']
  if (header === undefined) throw refuse(403, 'MissingAuthenticationToken', 'Request is missing Authentication Token')
  const authorization = parseAuthorization(header)
  if (!authorization || authorization.algorithm !== 'AWS4-HMAC-SHA256')
    throw refuse(400, 'IncompleteSignature', `'${header.slice(0, 40)}' is not a valid key=value pair`)
  const mismatch = (detail: string) =>
    refuse(
      403,
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.',
      detail,
    )
  const session = sessions.find(authorization.credential)
  const token = request.headers['x-amz-security-token']
  if (!session || token !== session.sessionToken)
    throw refuse(
      403,
      'InvalidClientTokenId',
      'The security token included in the request is invalid.',
      session ? 'the session token is missing or another one' : 'no such access key',
    )
  if (session.expiration <= now) throw refuse(403, 'ExpiredToken', 'The security token included in the request is expired')
  const date = request.headers['x-amz-date']
  const skew = Math.abs(parseAmzDate(date) - now)
  if (!(skew <= 15 * 60_000)) throw refuse(403, 'SignatureDoesNotMatch', `Signature expired: ${date} is more than 15 min. away`)
  if (authorization.date !== date?.slice(0, 8)) throw mismatch('the scope has another date than X-Amz-Date')
  if (authorization.service !== 'sts') throw mismatch(`the scope is for ${authorization.service}`)
  if (region !== undefined && authorization.region !== region) throw mismatch(`the scope is for ${authorization.region}`)
  const problem = signedHeadersProblem(request, authorization, ['host', 'x-amz-date', 'x-amz-security-token'])
  if (problem !== undefined) throw mismatch(problem)
  const signingKey = authorization.scope.split('/').reduce<Buffer | string>(hmac, `AWS4${session.secretAccessKey}`)
  const expected = hmac(signingKey, stringToSign(request, authorization))
  const given = Buffer.from(authorization.signature, 'hex')
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw mismatch('wrong signature')
  return session
}
