// The EC2 instance metadata service, version 2, as far as SDKs ask it: one listener, one profile.
import { isoSeconds } from '../aws/credentials.ts'
import { nextWithin } from '../core/source.ts'
import { usable } from '../credentials/store.ts'
import { imdsDocument, type ProfileView } from './documents.ts'
import { cleanPath, empty, guardCredentials, guardUser, type HostRule, jsonText, retryAfter, text } from './guard.ts'
import { type createImdsTokens, longestTtlSeconds } from './imds-token.ts'
import type { Answer, Handler, Request } from './server.ts'
import { type Teller, type Told, telling } from './told.ts'

interface ImdsOptions extends Teller {
  readonly hosts: HostRule
  readonly profile: ProfileView
  readonly availabilityZone: string | undefined
  /** The users that may ask; undefined: every local process. */
  readonly uids?: readonly number[] | undefined
  readonly tokens: ReturnType<typeof createImdsTokens>
  readonly signal: AbortSignal
}

const ttlHeader = 'x-aws-ec2-metadata-token-ttl-seconds'
const metadata = '/latest/meta-data/'
const roles = `${metadata}iam/security-credentials`
// Several SDKs ask exactly once: a request at the very start is worth a short wait.
const holdMs = 300

/** Handles one IMDSv2 listener. Errors have no body: CRT takes any text of the role list for a role's name. */
export function createImdsHandler(options: ImdsOptions): Handler {
  const { profile, tokens, clock, uids, availabilityZone: zone } = options
  const { region, roleArn, roleName } = profile

  function issueToken({ headers }: Request): Answer {
    const asked = headers[ttlHeader]
    const ttl = typeof asked === 'string' && /^\d{1,5}$/.test(asked) ? Number(asked) : 0
    if (ttl < 1 || ttl > longestTtlSeconds) return empty(400)
    return text(200, tokens.issue(ttl), { [ttlHeader]: String(ttl) })
  }

  async function credentials(): Promise<Told> {
    for (const end = clock.boot() + holdMs; ; ) {
      const found = imdsDocument(profile, clock)
      if (found !== undefined) return found
      const { current } = profile.state
      const left = end - clock.boot()
      if (left <= 0 || current.status !== 'empty' || options.signal.aborted) return { ...empty(503, retryAfter), accessKeyId: '' }
      await nextWithin(profile.state, current, left, clock, options.signal).catch(() => {})
    }
  }

  function info(): Answer {
    const held = usable(profile.state.current, clock.boot())
    if (held === undefined) return empty(503, retryAfter)
    const document = {
      Code: 'Success',
      LastUpdated: isoSeconds(held.issuedAt),
      InstanceProfileArn: roleArn.replace(/:role\/(?:.*\/)?/, ':instance-profile/'),
      InstanceProfileId: `AIPA${held.accessKeyId.slice(4)}`,
    }
    return jsonText(200, JSON.stringify(document))
  }

  const routes = new Map<string, () => Told | Promise<Told>>([
    ...[roles, `${roles}-extended`].flatMap((list) => [[list, () => text(200, roleName)] as const, [`${list}/${roleName}`, credentials] as const]),
    [`${metadata}iam/info`, info],
    // These need no credentials: they are from what is configured.
    [`${metadata}placement/region`, () => text(200, region)],
    [`${metadata}placement/availability-zone`, () => (zone === undefined ? empty(404) : text(200, zone))],
    ['/latest/dynamic/instance-identity/document', () => jsonText(200, JSON.stringify({ region, accountId: roleArn.split(':')[4], availabilityZone: zone }))],
  ])

  async function answer(request: Request): Promise<Told> {
    const path = cleanPath(request.path)
    if (path === '/latest/api/token') return request.method === 'PUT' ? issueToken(request) : empty(405, { allow: 'PUT' })
    if (path === undefined || !path.startsWith('/latest/')) return empty(404)
    if (request.method !== 'GET') return empty(405, { allow: 'GET' })
    const token = request.headers['x-aws-ec2-metadata-token']
    const remaining = typeof token === 'string' ? tokens.remainingSeconds(token) : undefined
    if (remaining === undefined) return empty(401)
    const found = (await routes.get(path)?.()) ?? empty(404)
    return { ...found, headers: { ...found.headers, [ttlHeader]: String(remaining) } }
  }

  return telling('imds', options, async (request) => {
    const refused = guardCredentials(request, options.hosts) ?? (uids && (await guardUser(request, uids)))
    const given = refused === undefined ? await answer(request) : { ...empty(refused.status), reason: refused.reason }
    return { ...given, profile: profile.name }
  })
}
