// One consumer's socket: its file mode is the authentication, and it gives that consumer's profiles and audiences.
import type { Source } from '../core/source.ts'
import { usable } from '../credentials/store.ts'
import type { IdentityState, IdentityToken } from '../identity/sources.ts'
import { containerDocument, type ProfileView, pick, processDocument } from './documents.ts'
import { cleanPath, guardCredentials, json, jsonError, retryAfter, text } from './guard.ts'
import type { Answer, Handler, Request } from './server.ts'
import { type Teller, type Told, telling } from './told.ts'

export interface ConsumerSocketOptions extends Teller {
  readonly name: string
  readonly profiles: readonly ProfileView[]
  readonly audiences: ReadonlyMap<string, Source<IdentityState<IdentityToken>>>
  /** What points an SDK at this consumer's credentials: names and values of environment variables, no secret. */
  readonly environment: (profile: ProfileView) => Readonly<Record<string, string>>
}

/**
 * GET /v1/credentials[/PROFILE], /v1/credential-process[/PROFILE], /v1/environment[/PROFILE], /v1/ready[/PROFILE],
 * /v1/jwt?audience=A. The profile may be left out by a consumer that has one.
 */
export function createConsumerHandler(options: ConsumerSocketOptions): Handler {
  const { name, profiles, clock } = options

  function unavailable({ name: profile, state }: ProfileView): Answer {
    const { failure } = state.current
    const why = failure === undefined ? ' yet; svidecar status says what it waits for' : `: ${failure.message}`
    return jsonError(503, 'CredentialsUnavailable', `profile ${profile} has no credentials${why}`, retryAfter)
  }

  /** What there is of each profile; undefined while it has no credentials. */
  const ofProfile = new Map<string, (profile: ProfileView) => Told | undefined>([
    ['credentials', (profile) => containerDocument(profile, clock)],
    ['credential-process', (profile) => processDocument(profile, clock)],
    ['environment', (profile) => json(200, options.environment(profile))],
    ['ready', (profile) => usable(profile.state.current, clock.boot()) && json(200, { ready: true })],
  ])

  function jwt(query: string): Told {
    const audience = new URLSearchParams(query).get('audience') ?? ''
    const source = options.audiences.get(audience)
    if (source === undefined)
      return jsonError(403, 'Forbidden', `consumer ${name} may have tokens for ${[...options.audiences.keys()].join(', ') || 'no audience'}`)
    const state = source.current
    if (state.status !== 'ready' || state.value.expiresAt <= clock.now())
      return { ...jsonError(503, 'TokenUnavailable', `no JWT-SVID for ${audience} now`, retryAfter), audience }
    return { ...text(200, state.value.compact.reveal()), audience }
  }

  function answer(request: Request): Told {
    const refused = guardCredentials(request)
    if (refused !== undefined) return jsonError(refused.status, 'Refused', refused.reason)
    if (request.method !== 'GET') return jsonError(405, 'MethodNotAllowed', 'use GET', { allow: 'GET' })
    const [, version, what, asked, ...more] = (cleanPath(request.path) ?? '').split('/')
    if (version !== 'v1' || what === undefined || more.length > 0) return jsonError(404, 'NotFound', 'no such path')
    if (what === 'jwt' && asked === undefined) return jwt(request.query)
    const profile = pick(profiles, asked)
    const readable = profiles.map((one) => one.name).join(', ')
    if (profile === undefined)
      return asked === undefined
        ? jsonError(404, 'NotFound', `say which profile: ${readable}`)
        : jsonError(403, 'Forbidden', `consumer ${name} may read ${readable}, not ${asked}`)
    const give = ofProfile.get(what)
    if (give === undefined) return jsonError(404, 'NotFound', 'no such path')
    return { ...(what.startsWith('credential') ? { accessKeyId: '' } : {}), ...(give(profile) ?? unavailable(profile)), profile: profile.name }
  }

  return telling('consumer', options, (request) => ({ ...answer(request), consumer: name }))
}
