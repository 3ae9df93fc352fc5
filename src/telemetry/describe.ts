// An event as a log line: level, sentence, fields. Pure, so that what operators will grep for can be tested.
import type { Failure } from '../core/errors.ts'
import { sentence } from '../core/errors.ts'
import type { Event, EventOf } from '../core/events.ts'

export type Level = 'debug' | 'info' | 'warn' | 'error'

export interface Line {
  readonly level: Level
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

const iso = (ms: number): string => new Date(ms).toISOString()

const failed = (failure: Failure) => ({ code: failure.code, ...failure.facts })

const seconds = (value: number): string => (Number.isFinite(value) ? `${value < 10 ? value.toFixed(1) : Math.round(value)} s` : 'a change')

type Describers = {
  readonly [T in Event['type']]: (event: EventOf<T>) => readonly [Level, string, Record<string, unknown>?]
}

const describers: Describers = {
  'daemon.starting': (event) => ['info', `svidecar ${event.version} starting`, { version: event.version, commit: event.commit, pid: event.pid }],
  'daemon.listening': () => ['info', 'all listeners are open'],
  'daemon.stopping': (event) => ['info', `stopping: ${event.reason}`],
  'daemon.stopped': () => ['info', 'stopped'],
  'daemon.defect': (event) => ['error', sentence(event.failure), { ...failed(event.failure), stack: event.failure.stack }],
  'config.loaded': (event) => [
    'info',
    `configuration loaded from ${event.origin}`,
    { origin: event.origin, profiles: event.profiles.map((profile) => profile.name) },
  ],
  'config.reload_failed': (event) => ['error', `the configuration was not reloaded and nothing has changed: ${sentence(event.failure)}`, failed(event.failure)],
  'listener.opened': (event) => ['info', `${event.listener} listens on ${event.address}`, { listener: event.listener, address: event.address }],
  'listener.closed': (event) => ['info', `${event.listener} closed`, { listener: event.listener }],
  'listener.refused': (event) => [
    'warn',
    `${event.listener} refused a request with ${event.status}: ${event.reason}`,
    { listener: event.listener, status: event.status },
  ],
  'listener.warning': (event) => ['warn', event.message, { listener: event.listener }],
  'identity.connected': (event) => ['info', `identity ${event.identity}: connected to the agent`, { identity: event.identity, stream: event.stream }],
  'identity.disconnected': (event) => [
    'debug',
    `identity ${event.identity}: ${event.failure.message}`,
    { identity: event.identity, stream: event.stream, ...failed(event.failure) },
  ],
  'identity.rejected': (event) => [
    'debug',
    `identity ${event.identity}: a message was rejected: ${event.failure.message}`,
    { identity: event.identity, stream: event.stream, ...failed(event.failure) },
  ],
  'identity.failing': (event) => [
    'warn',
    `identity ${event.identity}: ${sentence(event.failure)}`,
    { identity: event.identity, stream: event.stream, ...failed(event.failure) },
  ],
  'identity.recovered': (event) => ['info', `identity ${event.identity}: recovered`, { identity: event.identity, stream: event.stream }],
  'identity.withdrawn': (event) => [
    'error',
    `identity ${event.identity} was withdrawn and is not used any more: ${sentence(event.failure)}`,
    { identity: event.identity, stream: event.stream, ...failed(event.failure) },
  ],
  'identity.warning': (event) => ['warn', `identity ${event.identity}: ${event.message}`, { identity: event.identity, code: event.code }],
  'x509.updated': (event) => [
    'info',
    `identity ${event.identity}: X.509-SVID ${event.spiffeId} valid until ${iso(event.notAfter)}`,
    {
      identity: event.identity,
      spiffe_id: event.spiffeId,
      serial: event.serial,
      sha256: event.fingerprint,
      not_before: iso(event.notBefore),
      not_after: iso(event.notAfter),
      hint: event.hint,
      svids: event.svids,
      bundles: event.bundles,
    },
  ],
  'jwt.fetched': (event) => [
    'debug',
    `identity ${event.identity}: JWT-SVID ${event.spiffeId} for ${event.audience} until ${iso(event.expiresAt)}`,
    { identity: event.identity, spiffe_id: event.spiffeId, audience: event.audience, expires: iso(event.expiresAt) },
  ],
  'bundles.updated': (event) => [
    'info',
    `identity ${event.identity}: trust bundles of ${event.trustDomains.join(', ') || 'no trust domain'}`,
    { identity: event.identity, stream: event.stream },
  ],
  'exchange.succeeded': (event) => [
    'debug',
    `profile ${event.profile}: exchanged in ${seconds(event.seconds)}`,
    { profile: event.profile, method: event.method, seconds: event.seconds },
  ],
  'exchange.failed': (event) => [
    event.expiresAt === undefined ? 'error' : 'warn',
    `profile ${event.profile}: ${sentence(event.failure)} ${event.expiresAt === undefined ? 'There are no credentials to serve.' : `The last good credentials are served until ${iso(event.expiresAt)}.`} Next attempt: ${seconds(event.retryInSeconds)}`,
    { profile: event.profile, method: event.method, attempt: event.attempt, retry_in_seconds: event.retryInSeconds, ...failed(event.failure) },
  ],
  'exchange.warning': (event) => ['warn', `profile ${event.profile}: ${event.message}`, { profile: event.profile, code: event.code }],
  'exchange.clock_skew': (event) => [
    Math.abs(event.seconds) > 60 ? 'warn' : 'debug',
    `profile ${event.profile}: the clock of AWS differs from this machine's by ${Math.round(event.seconds)} s`,
    { profile: event.profile, clock_skew_seconds: event.seconds },
  ],
  'credentials.fresh': (event) => [
    'info',
    `profile ${event.profile}: credentials ${event.accessKeyId} valid until ${iso(event.expiresAt)}`,
    { profile: event.profile, access_key_id: event.accessKeyId, role_arn: event.roleArn, expires: iso(event.expiresAt) },
  ],
  'credentials.stale': (event) => ['debug', `profile ${event.profile}: time to refresh`, { profile: event.profile }],
  'credentials.expired': (event) => ['error', `profile ${event.profile}: the credentials have expired and nothing is served`, { profile: event.profile }],
  'credentials.forgotten': (event) => [
    'debug',
    `profile ${event.profile}: its configuration has changed or gone, and its credentials with it`,
    { profile: event.profile },
  ],
  'credentials.dropped': (event) => [
    'error',
    `profile ${event.profile}: credentials dropped, as on_identity_withdrawn says: ${event.failure.message}`,
    { profile: event.profile, ...failed(event.failure) },
  ],
  served: (event) => [
    'debug',
    `${event.endpoint} answered ${event.status}`,
    { endpoint: event.endpoint, consumer: event.consumer, profile: event.profile, status: event.status },
  ],
}

/** The line of an event. */
export function describe(event: Event): Line {
  // The table is total over the event types; the compiler cannot follow the pairing of key and argument.
  const describer = describers[event.type] as (event: Event) => ReturnType<Describers['daemon.listening']>
  const [level, message, fields] = describer(event)
  return { level, message, fields: { event: event.type, ...fields } }
}
