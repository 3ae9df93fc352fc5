// Signature Version 4 from the side that checks: the canonical request, the string to sign, and who signed.
import { createHmac, hash } from 'node:crypto'
import { type Account, isoSeconds } from './aws-account.ts'
import { type AwsRequest, refuse } from './aws-request.ts'

export type Authorization = NonNullable<ReturnType<typeof parseAuthorization>>

const format =
  /^(AWS4-[A-Z0-9-]+) Credential=([^/,\s]+)\/((\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request), ?SignedHeaders=([^,\s]+), ?Signature=((?:[0-9a-f]{2})+)$/

/**
 * Takes the Authorization header apart; undefined when it is not in AWS's format. `credential` is the access key id
 * or the certificate's serial number.
 */
export function parseAuthorization(header: string) {
  const [, algorithm, credential, scope, date, region, service, signed, signature] = format.exec(header) ?? []
  if (!algorithm || !credential || !scope || !date || !region || !service || !signed || !signature) return undefined
  return { algorithm, credential, scope, date, region, service, signedHeaders: signed.split(';'), signature: Buffer.from(signature, 'hex') }
}

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
    hash('sha256', request.body),
  ].join('\n')
  return [authorization.algorithm, request.headers['x-amz-date'], authorization.scope, hash('sha256', canonical)].join('\n')
}

/** What is wrong with the scope or the signed headers, if anything: the signature itself says nothing about them. */
export function problemOf(request: AwsRequest, authorization: Authorization, service: string, region: string | undefined, mustSign: string[]) {
  const { date, signedHeaders } = authorization
  if (date !== request.headers['x-amz-date']?.slice(0, 8)) return 'the scope has another date than X-Amz-Date'
  if (authorization.service !== service) return `the scope is for ${authorization.service}`
  if (region !== undefined && authorization.region !== region) return `the scope is for ${authorization.region}, not ${region}`
  const ordered = signedHeaders.map((name) => name.toLowerCase()).toSorted()
  if (signedHeaders.join() !== ordered.join()) return 'SignedHeaders are not sorted or not lower-case'
  const absent = signedHeaders.find((name) => request.headers[name] === undefined)
  if (absent !== undefined) return `the signed header ${absent} was not sent`
  const unsigned = mustSign.find((name) => !signedHeaders.includes(name))
  return unsigned === undefined ? undefined : `the header ${unsigned} is not signed`
}

/** Why the request is too old or too new, if it is; so is one without a date like YYYYMMDDTHHMMSSZ. */
export function dateProblem(request: AwsRequest, now: number, minutes: number): string | undefined {
  const date = request.headers['x-amz-date'] ?? ''
  const signedAt = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
  const near = /^\d{8}T\d{6}Z$/.test(date) && Math.abs(signedAt - now) <= minutes * 60_000
  return near ? undefined : `Signature expired: ${date} is more than ${minutes} min. away from ${isoSeconds(now)}`
}

const hmac = (key: Buffer | string, data: string): Buffer => createHmac('sha256', key).update(data).digest()

/** Whose request this is, by its SigV4 signature with session credentials; refuses as STS does. */
export function authenticate(request: AwsRequest, { sessions, region, clock }: Account) {
  const now = clock.now()
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
  const session = sessions.get(authorization.credential)
  const token = request.headers['x-amz-security-token']
  if (!session || token !== session.sessionToken)
    throw refuse(403, 'InvalidClientTokenId', 'The security token included in the request is invalid.', session ? 'another token' : 'no such access key')
  if (session.expiration <= now) throw refuse(403, 'ExpiredToken', 'The security token included in the request is expired')
  const expired = dateProblem(request, now, 15)
  if (expired !== undefined) throw refuse(403, 'SignatureDoesNotMatch', expired)
  const problem = problemOf(request, authorization, 'sts', region, ['host', 'x-amz-date', 'x-amz-security-token'])
  if (problem !== undefined) throw mismatch(problem)
  const signingKey = authorization.scope.split('/').reduce<Buffer | string>(hmac, `AWS4${session.secretAccessKey}`)
  const expected = hmac(signingKey, stringToSign(request, authorization))
  if (!authorization.signature.equals(expected)) throw mismatch('wrong signature')
  return session
}
