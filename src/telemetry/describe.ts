// An event as a log line: level, sentence, fields. Pure, so that what operators will grep for can be tested.
import { type Failure, sentence } from '../core/errors.ts'
import type { Event, EventOf } from '../core/events.ts'

export type Level = 'debug' | 'info' | 'warn' | 'error'

type Fields = Readonly<Record<string, unknown>>

export interface Line {
  readonly level: Level
  readonly message: string
  readonly fields: Fields
}

const iso = (ms: number): string => new Date(ms).toISOString()

const failed = (failure: Failure): Fields => ({ code: failure.code, ...failure.facts })

const seconds = (value: number): string => (Number.isFinite(value) ? `${value < 10 ? value.toFixed(1) : Math.round(value)} s` : 'a change')

/** Somebody asked for a secret: told at info, since operators want to know who read what. */
export const isRead = ({ accessKeyId, audience }: EventOf<'served'>): boolean => accessKeyId !== undefined || audience !== undefined

type Describers = {
  /** Without fields of its own, a line has those of its event's facts. */
  readonly [T in Event['type']]: (event: EventOf<T>) => readonly [level: Level, message: string, fields?: Fields]
}

const describers: Describers = {
  'daemon.starting': (event) => ['info', `svidecar ${event.version} starting`],
  'daemon.listening': () => ['info', 'all listeners are open'],
  'daemon.stopping': (event) => ['info', `stopping: ${event.reason}`],
  'daemon.stopped': () => ['info', 'stopped'],
  'daemon.defect': ({ failure }) => ['error', sentence(failure), { ...failed(failure), stack: failure.stack }],
  'config.loaded': ({ origin, profiles }) => ['info', `configuration loaded from ${origin}`, { origin, profiles: profiles.map(({ name }) => name) }],
  'config.reload_failed': (event) => ['error', `the configuration was not reloaded and nothing has changed: ${sentence(event.failure)}`],
  'consumer.token_rotated': ({ consumer }) => ['info', `consumer ${consumer} has a new token; the old one opens for five minutes more`],
  'listener.opened': (event) => ['info', `${event.listener} listens on ${event.address}`],
  'listener.closed': (event) => ['info', `${event.listener} closed`],
  'listener.refused': (event) => ['warn', `${event.listener} refused a request with ${event.status}: ${event.reason}`],
  'listener.warning': (event) => ['warn', event.message],
  'identity.connected': (event) => ['info', `identity ${event.identity}: connected to the agent`],
  'identity.disconnected': (event) => ['debug', `identity ${event.identity}: ${event.failure.message}`],
  'identity.rejected': (event) => ['debug', `identity ${event.identity}: a message was rejected: ${event.failure.message}`],
  'identity.failing': (event) => ['warn', `identity ${event.identity}: ${sentence(event.failure)}`],
  'identity.recovered': (event) => ['info', `identity ${event.identity}: recovered`],
  'identity.withdrawn': (event) => ['error', `identity ${event.identity} was withdrawn and is not used any more: ${sentence(event.failure)}`],
  'identity.warning': (event) => ['warn', `identity ${event.identity}: ${event.message}`],
  'x509.received': (event) => ['debug', `identity ${event.identity}: the agent offers ${event.spiffeIds.join(', ')}`],
  'x509.updated': (event) => ['info', `identity ${event.identity}: X.509-SVID ${event.spiffeId} valid until ${iso(event.notAfter)}`],
  'jwt.fetched': (event) => ['debug', `identity ${event.identity}: JWT-SVID ${event.spiffeId} for ${event.audience} until ${iso(event.expiresAt)}`],
  'bundles.updated': (event) => ['info', `identity ${event.identity}: trust bundles of ${event.trustDomains.join(', ') || 'no trust domain'}`],
  'exchange.succeeded': (event) => ['debug', `profile ${event.profile}: exchanged in ${seconds(event.seconds)}`],
  'exchange.failed': ({ profile, method, attempt, retryInSeconds, failure, expiresAt }) => [
    expiresAt === undefined ? 'error' : 'warn',
    `profile ${profile}: ${sentence(failure)} ${expiresAt === undefined ? 'There are no credentials to serve.' : `The last good credentials are served until ${iso(expiresAt)}.`} Next attempt: ${seconds(retryInSeconds)}`,
    { profile, method, attempt, retry_in_seconds: retryInSeconds, ...failed(failure) },
  ],
  'exchange.warning': ({ profile, code, message }) => ['warn', `profile ${profile}: ${message}`, { profile, code }],
  'exchange.clock_skew': (event) => [
    Math.abs(event.seconds) > 60 ? 'warn' : 'debug',
    `profile ${event.profile}: the clock of AWS differs from this machine's by ${Math.round(event.seconds)} s`,
    { profile: event.profile, clock_skew_seconds: event.seconds },
  ],
  'credentials.fresh': (event) => ['info', `profile ${event.profile}: credentials ${event.accessKeyId} valid until ${iso(event.expiresAt)}`],
  'credentials.stale': (event) => ['debug', `profile ${event.profile}: time to refresh`],
  'credentials.expired': (event) => ['error', `profile ${event.profile}: the credentials have expired and nothing is served`],
  'credentials.forgotten': (event) => ['debug', `profile ${event.profile}: its configuration has changed or gone, and its credentials with it`],
  'credentials.dropped': (event) => ['error', `profile ${event.profile}: credentials dropped, as on_identity_withdrawn says: ${event.failure.message}`],
  'output.written': ({ output, expiresAt }) => ['info', `${output}: written${expiresAt === undefined ? '' : `, valid until ${iso(expiresAt)}`}`],
  'output.failed': (event) => ['error', `${event.output}: ${sentence(event.failure)} Next attempt: ${seconds(event.retryInSeconds)}`],
  'output.removed': (event) => ['info', `${event.output}: removed, because ${event.why}`],
  'hook.done': (event) => ['info', `hook ${event.hook}: done`],
  'hook.failed': (event) => ['error', `hook ${event.hook}: ${sentence(event.failure)}`],
  'hook.said': (event) => ['info', `hook ${event.hook}: ${event.line}`],
  'hook.child_started': (event) => ['info', `hook ${event.hook}: started process ${event.pid}`],
  'hook.child_ended': (event) => [event.expected ? 'info' : 'warn', `hook ${event.hook}: its process ended with ${event.how}`],
  served: (event) => {
    const { endpoint, consumer, profile, status, accessKeyId, audience } = event
    const whom = consumer === '' ? 'a local process' : `consumer ${consumer}`
    const asked = audience === undefined ? `credentials of ${profile || 'a profile'}` : `a token for ${audience}`
    const fields = { endpoint, consumer, profile, access_key_id: accessKeyId, audience, status }
    return isRead(event) ? ['info', `${endpoint} answered ${status} to ${whom}: ${asked}`, fields] : ['debug', `${endpoint} answered ${status}`, fields]
  },
}

/** What the sentence says already, in its own words, or what only other folds need. */
const omitted = new Set('type reason message wasConnected spiffeIds trustDomains deadline refreshAt why line how expected'.split(' '))
const renamed: Readonly<Record<string, string>> = { fingerprint: 'sha256', expiresAt: 'expires' }
const moments = new Set(['notBefore', 'notAfter', 'expiresAt'])

/** The facts of an event as a log spells them: snake_case, and times for people. */
function factsOf(event: Event): Fields {
  const fields: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(event)) {
    const name = renamed[key] ?? key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    if (key === 'failure') Object.assign(fields, failed(value as Failure))
    else if (value !== undefined && !omitted.has(key)) fields[name] = moments.has(key) ? iso(Number(value)) : value
  }
  return fields
}

/** The line of an event. */
export function describe(event: Event): Line {
  // The table is total over the event types; the compiler cannot follow the pairing of key and argument.
  const describer = describers[event.type] as (event: Event) => ReturnType<Describers['daemon.listening']>
  const [level, message, fields = factsOf(event)] = describer(event)
  return { level, message, fields: { event: event.type, ...fields } }
}
