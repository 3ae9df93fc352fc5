// The EC2 instance metadata service, version 2, as far as SDKs ask it: one listener, one profile.
import { isoSeconds } from '../aws/credentials.ts'
import type { Clock } from '../core/clock.ts'
import type { Emit } from '../core/events.ts'
import { nextWithin } from '../core/source.ts'
import { usable } from '../credentials/store.ts'
import { document, type ProfileView } from './documents.ts'
import { cleanPath, empty, guardCredentials, type HostRule, text } from './guard.ts'
import { type ImdsTokens, longestTtlSeconds } from './imds-token.ts'
import type { Answer, Handler, Request } from './server.ts'

export interface ImdsOptions {
  readonly hosts: HostRule
  readonly profile: ProfileView
  readonly availabilityZone: string | undefined
  readonly tokens: ImdsTokens
  readonly clock: Clock
  readonly emit: Emit
  readonly signal: AbortSignal
}

const ttlHeader = 'x-aws-ec2-metadata-token-ttl-seconds'
const metadata = '/latest/meta-data/'
const roles = `${metadata}iam/security-credentials`
// Several SDKs ask exactly once: a request at the very start is worth a short wait.
const holdMs = 300

/** Handles one IMDSv2 listener. Errors have no body: CRT takes any text of the role list for a role's name. */
export function createImdsHandler(options: ImdsOptions): Handler {
  const { profile, tokens, clock, emit } = options
  const jsonAnswer = (body: Buffer | string): Answer => ({ status: 200, headers: { 'content-type': 'application/json' }, body })

  function issueToken({ headers }: Request): Answer {
    const asked = headers[ttlHeader]
    const ttl = typeof asked === 'string' && /^\d{1,5}$/.test(asked) ? Number(asked) : 0
    if (ttl < 1 || ttl > longestTtlSeconds) return empty(400)
    return text(200, tokens.issue(ttl), { [ttlHeader]: String(ttl) })
  }

  async function credentials(): Promise<Answer> {
    const end = clock.boot() + holdMs
    let body = document(profile, 'imds', clock)
    for (let left = holdMs; body === undefined && left > 0 && profile.state.current.status === 'empty' && !options.signal.aborted; left = end - clock.boot()) {
      await nextWithin(profile.state, profile.state.current, left, clock, options.signal).catch(() => {})
      body = document(profile, 'imds', clock)
    }
    return body === undefined ? empty(503, { 'retry-after': '1' }) : jsonAnswer(body)
  }

  /** The routes that need no credentials, from what is configured. */
  function place(path: string): Answer {
    const zone = options.availabilityZone
    if (path === `${metadata}placement/region`) return text(200, profile.region)
    if (path === `${metadata}placement/availability-zone`) return zone === undefined ? empty(404) : text(200, zone)
    if (path === '/latest/dynamic/instance-identity/document')
      return jsonAnswer(
        JSON.stringify({ region: profile.region, accountId: profile.roleArn.split(':')[4], ...(zone === undefined ? {} : { availabilityZone: zone }) }),
      )
    if (path === `${metadata}iam/info`) return info()
    return empty(404)
  }

  function info(): Answer {
    const held = usable(profile.state.current, clock.boot())
    if (held === undefined) return empty(503, { 'retry-after': '1' })
    const instanceProfile = profile.roleArn.replace(/:role\/(?:.*\/)?/, ':instance-profile/')
    return jsonAnswer(
      JSON.stringify({
        Code: 'Success',
        LastUpdated: isoSeconds(held.issuedAt),
        InstanceProfileArn: instanceProfile,
        InstanceProfileId: `AIPA${held.accessKeyId.slice(4)}`,
      }),
    )
  }

  async function answer(request: Request): Promise<Answer> {
    const path = cleanPath(request.path)
    if (path === '/latest/api/token') return request.method === 'PUT' ? issueToken(request) : empty(405, { allow: 'PUT' })
    if (path === undefined || !path.startsWith('/latest/')) return empty(404)
    if (request.method !== 'GET') return empty(405, { allow: 'GET' })
    const token = request.headers['x-aws-ec2-metadata-token']
    const remaining = typeof token === 'string' ? tokens.remainingSeconds(token) : undefined
    if (remaining === undefined) return empty(401)
    const found = await route(path)
    return { ...found, headers: { ...found.headers, [ttlHeader]: String(remaining) } }
  }

  async function route(path: string): Promise<Answer> {
    for (const list of [roles, `${roles}-extended`]) {
      if (path === list) return text(200, profile.roleName)
      if (path.startsWith(`${list}/`)) return path === `${list}/${profile.roleName}` ? credentials() : empty(404)
    }
    return place(path)
  }

  return async (request) => {
    const begun = clock.boot()
    const refused = guardCredentials(request, options.hosts)
    const given = refused === undefined ? await answer(request) : empty(refused.status)
    emit({ type: 'served', endpoint: 'imds', consumer: '', profile: profile.name, status: given.status, seconds: (clock.boot() - begun) / 1000 })
    if (refused !== undefined) emit({ type: 'listener.refused', listener: 'imds', status: refused.status, reason: refused.reason })
    return given
  }
}
