// One consumer's socket: its file mode is the authentication, and it gives that consumer's profiles and audiences.
import type { Clock } from '../core/clock.ts'
import type { Emit } from '../core/events.ts'
import type { Source } from '../core/source.ts'
import { usable } from '../credentials/store.ts'
import type { IdentityState, IdentityToken } from '../identity/sources.ts'
import { document, type Form, type ProfileView } from './documents.ts'
import { cleanPath, guardCredentials, json, jsonError, text } from './guard.ts'
import type { Answer, Handler, Request } from './server.ts'

export interface ConsumerSocketOptions {
  readonly name: string
  readonly profiles: readonly ProfileView[]
  readonly audiences: ReadonlyMap<string, Source<IdentityState<IdentityToken>>>
  /** What points an SDK at this consumer's credentials: names and values of environment variables, no secret. */
  readonly environment: (profile: ProfileView) => Readonly<Record<string, string>>
  readonly clock: Clock
  readonly emit: Emit
}

const forms: Readonly<Record<string, Form>> = { credentials: 'container', 'credential-process': 'process' }

/**
 * GET /v1/credentials[/PROFILE], /v1/credential-process[/PROFILE], /v1/environment[/PROFILE], /v1/ready[/PROFILE],
 * /v1/jwt?audience=A. The profile may be left out by a consumer that has one.
 */
export function createConsumerHandler(options: ConsumerSocketOptions): Handler {
  const { name, profiles, clock, emit } = options

  function pick(asked: string | undefined): ProfileView | Answer {
    const found = asked === undefined ? (profiles.length === 1 ? profiles[0] : undefined) : profiles.find((profile) => profile.name === asked)
    if (found !== undefined) return found
    const readable = profiles.map((profile) => profile.name).join(', ')
    return asked === undefined
      ? jsonError(404, 'NotFound', `say which profile: ${readable}`)
      : jsonError(403, 'Forbidden', `consumer ${name} may read ${readable}, not ${asked}`)
  }

  function unavailable(profile: ProfileView): Answer {
    const { failure } = profile.state.current
    return jsonError(
      503,
      'CredentialsUnavailable',
      failure === undefined
        ? `profile ${profile.name} has no credentials yet; svidecar status says what it waits for`
        : `profile ${profile.name} has no credentials: ${failure.message}`,
      { 'retry-after': '1' },
    )
  }

  function jwt(query: string): Answer {
    const audience = new URLSearchParams(query).get('audience') ?? ''
    const source = options.audiences.get(audience)
    if (source === undefined)
      return jsonError(403, 'Forbidden', `consumer ${name} may have tokens for ${[...options.audiences.keys()].join(', ') || 'no audience'}`)
    const state = source.current
    if (state.status !== 'ready' || state.value.expiresAt <= clock.now())
      return jsonError(503, 'TokenUnavailable', `no JWT-SVID for ${audience} now`, { 'retry-after': '1' })
    return text(200, state.value.compact.reveal())
  }

  function answer(request: Request): { answer: Answer; profile?: string } {
    const refused = guardCredentials(request, undefined)
    if (refused !== undefined) return { answer: jsonError(refused.status, 'Refused', refused.reason) }
    if (request.method !== 'GET') return { answer: jsonError(405, 'MethodNotAllowed', 'use GET', { allow: 'GET' }) }
    const [, version, what, asked, ...more] = (cleanPath(request.path) ?? '').split('/')
    if (version !== 'v1' || what === undefined || more.length > 0) return { answer: jsonError(404, 'NotFound', 'no such path') }
    if (what === 'jwt' && asked === undefined) return { answer: jwt(request.query) }
    const profile = pick(asked)
    if ('status' in profile) return { answer: profile }
    const form = Object.hasOwn(forms, what) ? forms[what] : undefined
    if (form !== undefined) {
      const body = document(profile, form, clock)
      return {
        answer: body === undefined ? unavailable(profile) : { status: 200, headers: { 'content-type': 'application/json' }, body },
        profile: profile.name,
      }
    }
    if (what === 'environment') return { answer: json(200, options.environment(profile)), profile: profile.name }
    if (what === 'ready')
      return { answer: usable(profile.state.current, clock.boot()) === undefined ? unavailable(profile) : json(200, { ready: true }), profile: profile.name }
    return { answer: jsonError(404, 'NotFound', 'no such path') }
  }

  return (request) => {
    const begun = clock.boot()
    const result = answer(request)
    emit({
      type: 'served',
      endpoint: 'consumer',
      consumer: name,
      profile: result.profile ?? '',
      status: result.answer.status,
      seconds: (clock.boot() - begun) / 1000,
    })
    return result.answer
  }
}
