// The ECS/EKS container credentials endpoint: a consumer's token opens that consumer's profiles.
import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../core/clock.ts'
import { containerDocument, type ProfileView, pick } from './documents.ts'
import { cleanPath, guardCredentials, guardUser, type HostRule, jsonError, retryAfter } from './guard.ts'
import type { Handler, Request } from './server.ts'
import { type Teller, type Told, telling } from './told.ts'

/** A secret that opens something until a moment of the boot clock. */
export interface Token {
  readonly bytes: Buffer
  readonly until: number
}

interface ConsumerView {
  readonly name: string
  /** The token, and those that it has replaced a moment ago. */
  readonly tokens: readonly Token[]
  /** The users that may use the token; undefined: whoever has it. */
  readonly uids?: readonly number[] | undefined
  readonly profiles: readonly ProfileView[]
}

interface ContainerOptions extends Teller {
  readonly hosts: HostRule
  readonly consumers: readonly ConsumerView[]
  /** Names of the whole daemon: to tell another's profile from one that does not exist. */
  readonly profiles: ReadonlySet<string>
}

const base = '/v1/credentials'
// Guessing 256 bits is hopeless; this keeps a broken client from filling the log.
const failuresPerSecond = 20

/** Handles GET /v1/credentials and GET /v1/credentials/PROFILE. */
export function createContainerHandler(options: ContainerOptions): Handler {
  const { consumers, profiles, clock } = options
  const tooManyFailures = createFailureLimit(clock)

  function answer(request: Request): Told | Promise<Told> {
    const refused = guardCredentials(request, options.hosts)
    if (refused !== undefined) return { ...jsonError(refused.status, 'Refused', 'request refused'), reason: refused.reason }
    const path = cleanPath(request.path)
    if (path === undefined || (path !== base && !path.startsWith(`${base}/`))) return jsonError(404, 'NotFound', 'no such path')
    if (request.method !== 'GET') return jsonError(405, 'MethodNotAllowed', 'use GET', { allow: 'GET' })
    const consumer = find(consumers, request.headers.authorization, clock.boot())
    if (consumer === undefined) return unauthenticated(request.headers.authorization)
    const asked = path === base ? undefined : path.slice(base.length + 1)
    const { uids } = consumer
    if (uids === undefined) return give(consumer, asked)
    return guardUser(request, uids).then((stranger) => {
      if (stranger === undefined) return give(consumer, asked)
      return { ...jsonError(403, 'Forbidden', 'this token is not for you'), reason: `consumer ${consumer.name}: ${stranger.reason}`, ...nothing(consumer) }
    })
  }

  const nothing = ({ name: consumer }: ConsumerView) => ({ consumer, accessKeyId: '' })

  function give(consumer: ConsumerView, asked: string | undefined): Told {
    const profile = pick(consumer.profiles, asked)
    const given = profile === undefined ? unauthorized(asked, consumer) : { ...credentials(profile), profile: profile.name }
    return { ...nothing(consumer), ...given }
  }

  function credentials(profile: ProfileView): Told {
    const found = containerDocument(profile, clock)
    if (found !== undefined) return found
    const code = profile.state.current.failure?.code ?? 'not_ready'
    const message = `no credentials for profile ${profile.name} now (${code}); the log and the status page of svidecar say why`
    return jsonError(503, 'CredentialsUnavailable', message, retryAfter)
  }

  function unauthenticated(header: string | undefined): Told {
    if (tooManyFailures()) return jsonError(429, 'TooManyRequests', 'too many requests without a valid token', retryAfter)
    const reason =
      header === undefined
        ? 'no Authorization header: the token file is unreadable or ends in a newline, or the SDK is too old for it (the JavaScript SDK also asks so after a 503)'
        : 'the token is not one of the consumers'
    return { ...jsonError(401, 'Unauthorized', 'missing or invalid token'), reason }
  }

  function unauthorized(asked: string | undefined, { name: consumer, profiles: readable }: ConsumerView): Told {
    if (asked === undefined) return jsonError(404, 'NotFound', `say which profile: ${readable.map(({ name }) => `${base}/${name}`).join(', ')}`)
    if (profiles.has(asked))
      return { ...jsonError(403, 'Forbidden', 'this token may not read that profile'), reason: `consumer ${consumer} asked for a profile of others` }
    return { ...jsonError(404, 'NotFound', 'no such profile'), reason: `consumer ${consumer} asked for an unknown profile` }
  }

  return telling('container', options, answer)
}

/** Compares with every consumer's tokens in constant time; only the length, which is no secret, shortens it. */
function find(consumers: readonly ConsumerView[], header = '', now: number): ConsumerView | undefined {
  const given = Buffer.from(header)
  const fits = ({ bytes, until }: Token): boolean => bytes.length === given.length && timingSafeEqual(bytes, given) && now < until
  return consumers.filter(({ tokens }) => tokens.filter(fits).length > 0).at(-1)
}

function createFailureLimit(clock: Clock): () => boolean {
  let windowStart = 0
  let count = 0
  return () => {
    const now = clock.boot()
    if (now - windowStart >= 1_000) {
      windowStart = now
      count = 0
    }
    return ++count > failuresPerSecond
  }
}
