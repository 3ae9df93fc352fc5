// STS as far as it is needed: AssumeRoleWithWebIdentity and GetCallerIdentity, in its query protocol.
import { randomUUID } from 'node:crypto'
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, errors, type JSONWebKeySet, jwtVerify } from 'jose'
import { type AwsError, type AwsRequest, parseArn, type RequestFacts, refuse } from './aws-request.ts'
import type { RoleGrant } from './aws-rolesanywhere.ts'
import { isoSeconds, type Session, type Sessions } from './aws-sessions.ts'
import { authenticate } from './aws-sigv4.ts'

export interface OidcProvider {
  issuer: string
  audiences: string[]
  jwks: () => Promise<{ keys: object[] }>
}

export interface StsOptions {
  oidcProviders: readonly OidcProvider[]
  roles: readonly RoleGrant[]
  sessions: Sessions
  /** What the scope of a signature must name; any region unless set. */
  region: string | undefined
}

const validation = (message: string) => refuse(400, 'ValidationError', message)
const badToken = (message: string, detail?: string) => refuse(400, 'InvalidIdentityToken', message, detail)

/** The form of a query-protocol request; refuses what STS would not read. */
export function readForm(request: AwsRequest): URLSearchParams {
  const type = request.headers['content-type'] ?? ''
  if (request.method !== 'POST' || !type.startsWith('application/x-www-form-urlencoded'))
    throw refuse(404, 'UnknownOperationException', 'The requested operation is not supported')
  const form = new URLSearchParams(request.body.toString())
  if (form.get('Version') !== '2011-06-15') throw refuse(400, 'NoSuchVersion', 'Could not find the requested version')
  return form
}

/** Answers with the XML of a success. */
export async function assumeRoleWithWebIdentity(
  request: AwsRequest,
  form: URLSearchParams,
  facts: RequestFacts,
  now: number,
  options: StsOptions,
): Promise<string> {
  // AWS would take these; whoever sends them here has put a secret where logs and proxies keep it.
  if (/webidentitytoken/i.test(request.query)) throw validation('The token belongs in the body, not in the URL')
  for (const header of ['authorization', 'x-amz-security-token'])
    if (request.headers[header] !== undefined) throw validation(`AssumeRoleWithWebIdentity is unsigned: remove ${header}`)
  const wanted = readWanted(form)
  const token = lengthBetween(form, 'WebIdentityToken', 4, 20_000)
  facts.roleArn = wanted.roleArn
  const { subject, issuer, audience } = await verifyToken(token, now, options.oidcProviders, facts)
  const role = options.roles.find((one) => one.roleArn === wanted.roleArn)
  if (!role || (role.spiffeIds && !role.spiffeIds.includes(subject)))
    throw refuse(403, 'AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity')
  const longest = role.maxSessionSeconds ?? 3600
  if (wanted.durationSeconds > longest) throw validation('The requested DurationSeconds exceeds the MaxSessionDuration set for this role.')
  facts.sessionName = wanted.sessionName
  const session = await options.sessions.issue(wanted)
  return answer(
    'AssumeRoleWithWebIdentity',
    `${element('Audience', audience)}${element('Provider', issuer)}${element('SubjectFromWebIdentityToken', subject)}` + credentialsXml(session),
  )
}

/** Who signed the request. */
export function getCallerIdentity(request: AwsRequest, facts: RequestFacts, now: number, options: StsOptions): string {
  const session = authenticate(request, options.sessions, now, options.region)
  facts.sessionName = session.assumedRoleArn.slice(session.assumedRoleArn.lastIndexOf('/') + 1)
  return answer(
    'GetCallerIdentity',
    `${element('Arn', session.assumedRoleArn)}${element('UserId', session.assumedRoleId)}${element('Account', session.account)}`,
  )
}

const constraint = (what: string, must: string) => validation(`1 validation error detected: Value ${what} failed to satisfy constraint: Member must ${must}`)

function lengthBetween(form: URLSearchParams, name: string, least: number, most: number): string {
  const value = form.get(name) ?? ''
  if (value.length < least || value.length > most) throw constraint(`at '${name}'`, `have length between ${least} and ${most}`)
  return value
}

function readWanted(form: URLSearchParams) {
  const roleArn = lengthBetween(form, 'RoleArn', 20, 2048)
  if (parseArn(roleArn)?.service !== 'iam') throw validation(`${roleArn} is invalid`)
  const sessionName = lengthBetween(form, 'RoleSessionName', 2, 64)
  if (!/^[\w+=,.@-]*$/.test(sessionName)) throw constraint(`'${sessionName}' at 'roleSessionName'`, 'satisfy regular expression pattern: [\\w+=,.@-]*')
  const text = form.get('DurationSeconds') ?? '3600'
  const durationSeconds = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (durationSeconds < 900 || durationSeconds > 43_200) throw constraint(`'${text}' at 'durationSeconds'`, 'have value between 900 and 43200')
  return { roleArn, sessionName, durationSeconds }
}

const algorithms = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512']

async function verifyToken(token: string, now: number, providers: readonly OidcProvider[], facts: RequestFacts) {
  const { header, claims } = unpack(token)
  if (typeof claims.sub === 'string') facts.spiffeId = claims.sub
  if (!algorithms.includes(header.alg ?? '')) throw badToken(`The algorithm ${header.alg} is not supported`)
  for (const name of ['iss', 'aud', 'sub', 'iat', 'exp']) if (claims[name] === undefined) throw badToken(`Missing a required claim: ${name}`)
  const { iat = 0, exp = 0 } = claims
  for (const instant of [iat, exp]) if (!Number.isInteger(instant)) throw badToken('Timestamps must be integers')
  const provider = providers.find(({ issuer }) => issuer === claims.iss)
  if (!provider) throw badToken(`No OpenIDConnect provider found in your account for ${claims.iss}`)
  const audience = [claims.aud ?? []].flat().find((one) => provider.audiences.includes(one))
  if (audience === undefined) throw badToken('Incorrect token audience')
  const nowSeconds = Math.floor(now / 1000)
  if (exp <= nowSeconds)
    throw refuse(400, 'ExpiredTokenException', `Token expired: current date/time ${nowSeconds} must be before the expiration date/time ${exp}`)
  if (iat > nowSeconds + 300) throw badToken('The token was issued in the future')
  if (!header.kid) throw badToken(noKey, 'the token names no key')
  try {
    // The times have been looked at above, in AWS's words.
    const currentDate = new Date(iat * 1000)
    await jwtVerify(token, createLocalJWKSet((await provider.jwks()) as JSONWebKeySet), { algorithms, currentDate })
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

const escape = (text: string): string => text.replace(/[<>&"']/g, (one) => `&#${one.charCodeAt(0)};`)

const element = (name: string, text: string): string => `<${name}>${escape(text)}</${name}>`

const credentialsXml = (session: Session): string =>
  `<AssumedRoleUser>${element('AssumedRoleId', session.assumedRoleId)}${element('Arn', session.assumedRoleArn)}</AssumedRoleUser>` +
  `<Credentials>${element('AccessKeyId', session.accessKeyId)}${element('SecretAccessKey', session.secretAccessKey)}` +
  `${element('SessionToken', session.sessionToken)}${element('Expiration', isoSeconds(session.expiration))}</Credentials>`

const namespace = 'https://sts.amazonaws.com/doc/2011-06-15/'

const answer = (action: string, result: string): string =>
  `<${action}Response xmlns="${namespace}"><${action}Result>${result}</${action}Result>` +
  `<ResponseMetadata>${element('RequestId', randomUUID())}</ResponseMetadata></${action}Response>`

/** The body of a refusal in the query protocol. */
export const errorXml = ({ status, code, message }: Pick<AwsError, 'status' | 'code' | 'message'>): string =>
  `<ErrorResponse xmlns="${namespace}"><Error>${element('Type', status < 500 ? 'Sender' : 'Receiver')}` +
  `${element('Code', code)}${element('Message', message)}</Error>${element('RequestId', randomUUID())}</ErrorResponse>`
