// The ECS/EKS container credentials endpoint: a consumer's token opens that consumer's profiles.
import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../core/clock.ts'
import type { Emit } from '../core/events.ts'
import { document, type ProfileView } from './documents.ts'
import { cleanPath, guardCredentials, type HostRule, jsonError } from './guard.ts'
import type { Answer, Handler, Request } from './server.ts'

export interface ConsumerView {
  readonly name: string
  readonly token: Buffer
  readonly profiles: readonly ProfileView[]
}

export interface ContainerOptions {
  readonly hosts: HostRule
  readonly consumers: readonly ConsumerView[]
  /** Of the whole daemon: to tell another's profile from one that does not exist. */
  readonly profiles: ReadonlyMap<string, ProfileView>
  readonly clock: Clock
  readonly emit: Emit
}

const base = '/v1/credentials'
// Guessing 256 bits is hopeless; this keeps a broken client from filling the log.
const failuresPerSecond = 20

/** Handles GET /v1/credentials and GET /v1/credentials/PROFILE. */
export function createContainerHandler(options: ContainerOptions): Handler {
  const { consumers, profiles, clock, emit } = options
  const tooManyFailures = createFailureLimit(clock)

  function answer(request: Request): { answer: Answer; consumer?: string; profile?: string; reason?: string } {
    const refused = guardCredentials(request, options.hosts)
    if (refused !== undefined) return { answer: jsonError(refused.status, 'Refused', 'request refused'), reason: refused.reason }
    const path = cleanPath(request.path)
    if (path === undefined || (path !== base && !path.startsWith(`${base}/`))) return { answer: jsonError(404, 'NotFound', 'no such path') }
    if (request.method !== 'GET') return { answer: jsonError(405, 'MethodNotAllowed', 'use GET', { allow: 'GET' }) }
    const consumer = find(consumers, request.headers.authorization)
    if (consumer === undefined) return unauthenticated(request.headers.authorization)
    const asked = path.slice(base.length + 1)
    const profile = asked === '' ? (consumer.profiles.length === 1 ? consumer.profiles[0] : undefined) : consumer.profiles.find(({ name }) => name === asked)
    if (profile === undefined) return unauthorized(asked, consumer)
    const body = document(profile, 'container', clock)
    const who = { consumer: consumer.name, profile: profile.name }
    if (body !== undefined) return { answer: { status: 200, headers: { 'content-type': 'application/json' }, body }, ...who }
    const code = profile.state.current.failure?.code ?? 'not_ready'
    return {
      answer: jsonError(
        503,
        'CredentialsUnavailable',
        `no credentials for profile ${profile.name} now (${code}); the log and the status page of svidecar say why`,
        { 'retry-after': '1' },
      ),
      ...who,
    }
  }

  function unauthenticated(header: string | undefined) {
    if (tooManyFailures()) return { answer: jsonError(429, 'TooManyRequests', 'too many requests without a valid token', { 'retry-after': '1' }) }
    const reason =
      header === undefined
        ? 'no Authorization header: the token file is unreadable or ends in a newline, or the SDK is too old for it (the JavaScript SDK also asks so after a 503)'
        : 'the token is not one of the consumers'
    return { answer: jsonError(401, 'Unauthorized', 'missing or invalid token'), reason }
  }

  function unauthorized(asked: string, consumer: ConsumerView) {
    if (asked === '')
      return {
        answer: jsonError(404, 'NotFound', `say which profile: ${consumer.profiles.map(({ name }) => `${base}/${name}`).join(', ')}`),
        consumer: consumer.name,
      }
    const known = profiles.has(asked)
    return {
      answer: known ? jsonError(403, 'Forbidden', 'this token may not read that profile') : jsonError(404, 'NotFound', 'no such profile'),
      consumer: consumer.name,
      reason: `consumer ${consumer.name} asked for ${known ? 'a profile of others' : 'an unknown profile'}`,
    }
  }

  return (request) => {
    const begun = clock.boot()
    const result = answer(request)
    const { status } = result.answer
    emit({
      type: 'served',
      endpoint: 'container',
      consumer: result.consumer ?? '',
      profile: result.profile ?? '',
      status,
      seconds: (clock.boot() - begun) / 1000,
    })
    if (result.reason !== undefined) emit({ type: 'listener.refused', listener: 'container', status, reason: result.reason })
    return result.answer
  }
}

/** Compares with every consumer's token in constant time; only the length, which is no secret, shortens it. */
function find(consumers: readonly ConsumerView[], header: string | undefined): ConsumerView | undefined {
  const given = Buffer.from(header ?? '')
  let found: ConsumerView | undefined
  for (const consumer of consumers) {
    if (consumer.token.length === given.length && timingSafeEqual(consumer.token, given)) found = consumer
  }
  return found
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
