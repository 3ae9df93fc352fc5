// STS as far as it is needed: AssumeRoleWithWebIdentity and GetCallerIdentity, in its query protocol.
import { randomUUID } from 'node:crypto'
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, errors, jwtVerify } from 'jose'
import { type Account, isDuration, isoSeconds, sessionNames } from './aws-account.ts'
import { type AwsError, type AwsRequest, parseArn, refuse } from './aws-request.ts'
import { authenticate } from './aws-sigv4.ts'

const validation = (message: string) => refuse(400, 'ValidationError', message)
const badToken = (message: string, detail?: string) => refuse(400, 'InvalidIdentityToken', message, detail)

/** Answers with the XML of a success. */
export async function answerSts(request: AwsRequest, account: Account): Promise<string> {
  const type = request.headers['content-type'] ?? ''
  if (request.method !== 'POST' || !type.startsWith('application/x-www-form-urlencoded'))
    throw refuse(404, 'UnknownOperationException', 'The requested operation is not supported')
  const form = new URLSearchParams(request.body.toString())
  const action = form.get('Action')
  if (form.get('Version') !== '2011-06-15') throw refuse(400, 'NoSuchVersion', 'Could not find the requested version')
  if (action === 'AssumeRoleWithWebIdentity') return answer(action, await assumeRoleWithWebIdentity(request, form, account))
  if (action === 'GetCallerIdentity') return answer(action, getCallerIdentity(request, account))
  throw refuse(400, 'InvalidAction', `Could not find operation ${action} for version 2011-06-15`)
}

async function assumeRoleWithWebIdentity(request: AwsRequest, form: URLSearchParams, account: Account): Promise<Fields> {
  // AWS would take these; whoever sends them here has put a secret where logs and proxies keep it.
  if (/webidentitytoken/i.test(request.query)) throw validation('The token belongs in the body, not in the URL')
  for (const header of ['authorization', 'x-amz-security-token'])
    if (request.headers[header] !== undefined) throw validation(`AssumeRoleWithWebIdentity is unsigned: remove ${header}`)
  const roleArn = parameter(form, 'RoleArn', /^.{20,2048}$/)
  if (parseArn(roleArn)?.service !== 'iam') throw validation(`${roleArn} is invalid`)
  const sessionName = parameter(form, 'RoleSessionName', sessionNames)
  const durationSeconds = form.has('DurationSeconds') ? Number(parameter(form, 'DurationSeconds', /^\d+$/)) : 3600
  if (!isDuration(durationSeconds)) throw validation('DurationSeconds must have value between 900 and 43200')
  const { subject, issuer, audience } = await verifyToken(parameter(form, 'WebIdentityToken', /^.{4,20000}$/s), account)
  const denied = (detail: string) => refuse(403, 'AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity', detail)
  const session = await account.assume(subject, { roleArn, sessionName, durationSeconds }, denied, validation)
  return {
    Audience: audience,
    Provider: issuer,
    SubjectFromWebIdentityToken: subject,
    AssumedRoleUser: { AssumedRoleId: session.assumedRoleId, Arn: session.assumedRoleArn },
    Credentials: {
      AccessKeyId: session.accessKeyId,
      SecretAccessKey: session.secretAccessKey,
      SessionToken: session.sessionToken,
      Expiration: isoSeconds(session.expiration),
    },
  }
}

/** A parameter that must match; a token is not repeated. */
function parameter(form: URLSearchParams, name: string, pattern: RegExp): string {
  const value = form.get(name) ?? ''
  if (pattern.test(value)) return value
  const what = name === 'WebIdentityToken' ? name : `'${value}' at '${name}'`
  throw validation(`1 validation error detected: Value ${what} failed to satisfy constraint: Member must match ${pattern.source}`)
}

function getCallerIdentity(request: AwsRequest, account: Account): Fields {
  const session = authenticate(request, account)
  return { Arn: session.assumedRoleArn, UserId: session.assumedRoleId, Account: session.account }
}

const algorithms = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512']

async function verifyToken(token: string, { oidcProviders, clock }: Account) {
  const { header, claims } = unpack(token)
  if (!algorithms.includes(header.alg ?? '')) throw badToken(`The algorithm ${header.alg} is not supported`)
  for (const name of ['iss', 'aud', 'sub', 'iat', 'exp']) if (claims[name] === undefined) throw badToken(`Missing a required claim: ${name}`)
  const { iat = 0, exp = 0 } = claims
  for (const instant of [iat, exp]) if (!Number.isInteger(instant)) throw badToken('Timestamps must be integers')
  const provider = oidcProviders.find(({ issuer }) => issuer === claims.iss)
  if (!provider) throw badToken(`No OpenIDConnect provider found in your account for ${claims.iss}`)
  const audience = [claims.aud ?? []].flat().find((one) => provider.audiences.includes(one))
  if (audience === undefined) throw badToken('Incorrect token audience')
  const nowSeconds = Math.floor(clock.now() / 1000)
  if (exp <= nowSeconds)
    throw refuse(400, 'ExpiredTokenException', `Token expired: current date/time ${nowSeconds} must be before the expiration date/time ${exp}`)
  if (iat > nowSeconds + 300) throw badToken('The token was issued in the future')
  if (!header.kid) throw badToken(noKey, 'the token names no key')
  try {
    // The times have been looked at above, in AWS's words.
    const currentDate = new Date(iat * 1000)
    await jwtVerify(token, createLocalJWKSet(await provider.jwks()), { algorithms, currentDate })
  } catch (error) {
    throw error instanceof errors.JWKSNoMatchingKey
      ? badToken(noKey, error.message)
      : badToken('The ID Token provided could not be validated: its signature is invalid', String(error))
  }
  return { subject: claims.sub ?? '', issuer: provider.issuer, audience }
}

const noKey = "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements"

function unpack(token: string) {
  try {
    return { header: decodeProtectedHeader(token), claims: decodeJwt(token) }
  } catch (error) {
    throw badToken('The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)', String(error))
  }
}

interface Fields {
  readonly [name: string]: string | Fields
}

const escape = (text: string): string => text.replace(/[<>&"']/g, (one) => `&#${one.charCodeAt(0)};`)

const xml = (fields: Fields): string =>
  Object.entries(fields)
    .map(([name, value]) => `<${name}>${typeof value === 'string' ? escape(value) : xml(value)}</${name}>`)
    .join('')

const namespace = 'https://sts.amazonaws.com/doc/2011-06-15/'

const answer = (action: string, result: Fields): string =>
  `<${action}Response xmlns="${namespace}">${xml({ [`${action}Result`]: result, ResponseMetadata: { RequestId: randomUUID() } })}</${action}Response>`

/** The body of a refusal in the query protocol. */
export const errorXml = ({ status, code, message }: AwsError): string =>
  `<ErrorResponse xmlns="${namespace}">${xml({ Error: { Type: status < 500 ? 'Sender' : 'Receiver', Code: code, Message: message }, RequestId: randomUUID() })}</ErrorResponse>`
