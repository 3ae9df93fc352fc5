// Signature Version 4 from the side that checks: the canonical request, the string to sign, and who signed.
import { createHmac, hash } from 'node:crypto'
import { type Account, isoSeconds } from './aws-account.ts'
import { type AwsRequest, refuse } from './aws-request.ts'

const format =
  /^(?<algorithm>AWS4-[A-Z0-9-]+) Credential=(?<credential>[^/,\s]+)\/(?<scope>\d{8}\/[a-z0-9-]+\/[a-z0-9-]+\/aws4_request), ?SignedHeaders=(?<names>[^,\s]+), ?Signature=(?<hex>(?:[0-9a-f]{2})+)$/

/** RFC 3986: everything but the unreserved characters, hexadecimal digits in upper case. */
const encode = (text: string): string => encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)

const canonicalQuery = (query: string): string =>
  Array.from(new URLSearchParams(query), (pair) => pair.map(encode).join('='))
    .toSorted()
    .join('&')

/**
 * Takes the Authorization header apart, and rebuilds what was signed from the request as it really arrived; undefined
 * when the header is not in AWS's format. `credential` is the access key id or the certificate's serial number.
 */
export function readSignature({ method, path, query, headers, body }: AwsRequest) {
  const { algorithm, credential = '', scope = '', names = '', hex = '' } = format.exec(headers['authorization'] ?? '')?.groups ?? {}
  if (algorithm === undefined) return undefined
  const signedHeaders = names.split(';')
  const lines = signedHeaders.map((name) => `${name}:${(headers[name] ?? '').trim().replace(/ +/g, ' ')}\n`)
  const encodedPath = path.split('/').map(encode).join('/')
  const canonical = [method, encodedPath, canonicalQuery(query), lines.join(''), names, hash('sha256', body)].join('\n')
  const signed = [algorithm, headers['x-amz-date'], scope, hash('sha256', canonical)].join('\n')
  return { algorithm, credential, scope, headers, signedHeaders, signed, signature: Buffer.from(hex, 'hex') }
}

type Signature = NonNullable<ReturnType<typeof readSignature>>

/** How far from AWS's time each service takes a request, and how it words a signature that is wrong. */
const services = {
  rolesanywhere: { minutes: 5, code: 'AccessDeniedException', message: 'Invalid signature' },
  sts: {
    minutes: 15,
    code: 'SignatureDoesNotMatch',
    message: 'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.',
  },
}
type Service = keyof typeof services

/** Refuses a signature that is not `genuine`, too old or too new, for somebody else, or does not cover what it must. */
export function verifySignature(signature: Signature, service: Service, { region, clock }: Pick<Account, 'region' | 'clock'>, genuine: boolean): void {
  const { minutes, code, message } = services[service]
  const date = signature.headers['x-amz-date'] ?? ''
  const instant = date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z')
  const near = instant !== date && Math.abs(Date.parse(instant) - clock.now()) <= minutes * 60_000
  if (!near) throw refuse(403, code, `Signature expired: ${date} is more than ${minutes} min. away from ${isoSeconds(clock.now())}`)
  const problem = problemOf(signature, service, region) ?? (genuine ? undefined : 'the signature does not verify')
  if (problem !== undefined) throw refuse(403, code, message, problem)
}

/** What is wrong with the scope or the signed headers, if anything: the signature itself says nothing about them. */
function problemOf({ headers, signedHeaders, scope }: Signature, service: Service, region: string | undefined): string | undefined {
  const [scopeDate = '', scopeRegion, scopeService] = scope.split('/')
  if (!headers['x-amz-date']?.startsWith(scopeDate)) return 'the scope has another date than X-Amz-Date'
  if (scopeService !== service) return `the scope is for ${scopeService}`
  if (region !== undefined && scopeRegion !== region) return `the scope is for ${scopeRegion}, not ${region}`
  const ordered = signedHeaders.map((name) => name.toLowerCase()).toSorted()
  if (signedHeaders.join() !== ordered.join()) return 'SignedHeaders are not sorted or not lower-case'
  const absent = signedHeaders.find((name) => headers[name] === undefined)
  if (absent !== undefined) return `the signed header ${absent} was not sent`
  // These must be signed whenever they are sent; STS takes an unsigned Content-Type, which the SDK for JavaScript v2 sends.
  const bound = service === 'sts' ? /^(host|x-amz-.*)$/ : /^(host|content-type|x-amz-.*)$/
  const unsigned = Object.keys(headers).find((name) => bound.test(name) && !signedHeaders.includes(name))
  return unsigned === undefined ? undefined : `the header ${unsigned} is not signed`
}

const hmac = (key: Buffer | string, data: string): Buffer => createHmac('sha256', key).update(data).digest()

/** Whose request this is, by its SigV4 signature with session credentials; refuses as STS does. */
export function authenticate(request: AwsRequest, account: Account) {
  const header = request.headers['authorization']
  if (header === undefined) throw refuse(403, 'MissingAuthenticationToken', 'Request is missing Authentication Token')
  const signature = readSignature(request)
  if (signature?.algorithm !== 'AWS4-HMAC-SHA256') throw refuse(400, 'IncompleteSignature', `'${header.slice(0, 40)}' is not a valid key=value pair`)
  const session = account.sessions.get(signature.credential)
  if (!session || request.headers['x-amz-security-token'] !== session.sessionToken)
    throw refuse(403, 'InvalidClientTokenId', 'The security token included in the request is invalid.', session ? 'another token' : 'no such access key')
  if (session.expiration <= account.clock.now()) throw refuse(403, 'ExpiredToken', 'The security token included in the request is expired')
  const signingKey = signature.scope.split('/').reduce<Buffer | string>(hmac, `AWS4${session.secretAccessKey}`)
  verifySignature(signature, 'sts', account, signature.signature.equals(hmac(signingKey, signature.signed)))
  return session
}
