// One profile, from what was written to what is meant.
import { readFileSync } from 'node:fs'
import { parseArn } from '../aws/arn.ts'
import { serviceUrl } from '../aws/hosts.ts'
import type { MethodConfig, ProfileConfig } from './config.ts'
import type { Checker, Path } from './mistakes.ts'
import type { RawProfile } from './schema.ts'

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

const regionPattern = /^[a-z]{2,}(-[a-z0-9]+)+$/

/** Milliseconds of a duration that the schema has let pass. */
export const milliseconds = (text: string): number => {
  const [, digits = '0', unit = 's'] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? []
  return Number(digits) * (units[unit] ?? 0)
}

/** The profile, whole only if `check` has no mistakes; undefined when its method is not said. */
export function resolveProfile(name: string, profile: RawProfile, env: NodeJS.ProcessEnv, check: Checker): ProfileConfig | undefined {
  const { wrong, attempt, reference } = check
  const path = ['profiles', name]
  const { identity = 'default', endpoint, ca_file: caFile, session_name: sessionName, allow_plaintext: allowPlaintext = false, required = true } = profile
  reference(profile.identity === undefined ? path : [...path, 'identity'], 'identity', identity)
  const method = resolveMethod(path, profile, check)
  if (method === undefined) return undefined
  const region = resolveRegion(path, profile, method, env, check)
  if (sessionName !== undefined && !/^[\w+=,.@-]{2,64}$/.test(sessionName))
    wrong([...path, 'session_name'], 'a session name has 2 to 64 letters, digits and any of _+=,.@-')
  const host = method.kind === 'roles_anywhere' ? 'rolesanywhere' : 'sts'
  const service = serviceUrl(host, regionPattern.test(region) ? region : 'us-east-1', method.role.partition).href
  return {
    name,
    identity,
    method,
    required,
    region,
    endpoint: endpoint === undefined ? service : attempt([...path, 'endpoint'], () => parseEndpoint(endpoint, allowPlaintext), service),
    sessionName,
    ca: caFile === undefined ? undefined : attempt([...path, 'ca_file'], () => readFileSync(caFile, 'utf8'), undefined),
  }
}

function resolveMethod(path: Path, { roles_anywhere: anywhere, web_identity: web }: RawProfile, { wrong, attempt }: Checker): MethodConfig | undefined {
  if (anywhere !== undefined && web !== undefined) return wrong(path, 'say either roles_anywhere or web_identity, not both')
  const at = [...path, web === undefined ? 'roles_anywhere' : 'web_identity']
  const arn = (key: string, text: string, kind: Parameters<typeof parseArn>[1]) =>
    attempt([...at, key], () => parseArn(text, kind), { text, partition: 'aws', region: '', account: '', resource: '' })
  const common = ({ role_arn: role, session_duration: session = '1h' }: { role_arn: string; session_duration?: string | undefined }) => {
    const durationSeconds = milliseconds(session) / 1000
    if (durationSeconds < 900 || durationSeconds > 43_200) wrong([...at, 'session_duration'], `${session} is not between 15m and 12h, which is what AWS takes`)
    return { role: arn('role_arn', role, 'role'), durationSeconds }
  }
  if (web !== undefined) return { kind: 'web_identity', audience: web.audience, ...common(web) }
  if (anywhere === undefined) return wrong(path, 'say how: roles_anywhere or web_identity')
  const trustAnchor = arn('trust_anchor_arn', anywhere.trust_anchor_arn, 'trust-anchor')
  const profile = arn('profile_arn', anywhere.profile_arn, 'profile')
  if (profile.region !== '' && trustAnchor.region !== '' && profile.region !== trustAnchor.region)
    wrong([...at, 'profile_arn'], `the profile is in ${profile.region} and the trust anchor in ${trustAnchor.region}; they must be in one region`)
  return { kind: 'roles_anywhere', trustAnchor, profile, ...common(anywhere) }
}

/** A trust anchor's region goes before AWS_REGION, which names where the application works: CreateSession is answered only there. */
function resolveRegion(path: Path, profile: RawProfile, method: MethodConfig, env: NodeJS.ProcessEnv, { wrong }: Checker): string {
  const anchor = method.kind === 'roles_anywhere' ? method.trustAnchor.region : ''
  const region = profile.region ?? (anchor || env['AWS_REGION'] || '')
  const at = [...path, 'region']
  // Of an anchor that is none, nothing more is to be said.
  if (method.kind === 'roles_anywhere' && anchor === '' && profile.region === undefined) return ''
  if (region === '') wrong(at, 'there is no region: set region or AWS_REGION')
  else if (!regionPattern.test(region)) wrong(at, `${JSON.stringify(region)} is not a region`)
  else if (anchor !== '' && region !== anchor) wrong(at, `the trust anchor is in ${anchor}, and CreateSession is answered only there`)
  return region
}

function parseEndpoint(text: string, allowPlaintext: boolean): string {
  const url = URL.parse(text)
  if (url === null) throw new Error(`${JSON.stringify(text)} is not a URL`)
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') throw new Error('an endpoint has no user, query or fragment')
  const loopback = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(url.hostname)
  if (url.protocol === 'http:' && !loopback && !allowPlaintext)
    throw new Error(`plain http to ${url.hostname} would show credentials to the network; use https, or say allow_plaintext: true`)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Error('an endpoint starts with https://')
  return url.href
}
