// The state of everything: a fold over the events, from which probes, status page and systemd read.
import type { Clock } from '../core/clock.ts'
import type { Failure } from '../core/errors.ts'
import type { Event, EventOf, Listener } from '../core/events.ts'
import type { HealthReport, IdentityReport, Problem, ProfileReport, StatusReport } from '../core/health.ts'

export interface Health {
  readonly listener: Listener
  readonly health: () => HealthReport
  readonly status: () => StatusReport
}

interface Identity {
  status: IdentityReport['status']
  connected: boolean
  facts: { spiffeId: string; serial?: string; notAfter?: number }
}

interface Profile {
  required: boolean
  identity: string
  method: string
  roleArn: string
  held: { accessKeyId: string; expiresAt: number; deadline: number; refreshAt: number } | undefined
  dropped: boolean
  succeeded: number
  failed: number
}

const iso = (ms: number): string => new Date(ms).toISOString()

/** Creates the fold. Its reports compare with the clock when they are asked for, like every answer. */
export function createHealth(clock: Clock): Health {
  const identities = new Map<string, Identity>()
  const profiles = new Map<string, Profile>()
  const listeners = new Map<string, string>()
  const problems = new Map<string, { subject: string; failure: Failure; since: number }>()
  let version = ''
  let started = false

  const identityOf = (name: string): Identity => {
    let found = identities.get(name)
    if (found === undefined) identities.set(name, (found = { status: 'waiting', connected: false, facts: { spiffeId: '' } }))
    return found
  }
  const trouble = (key: string, subject: string, failure: Failure) => {
    const known = problems.get(key)
    problems.set(key, { subject, failure, since: known?.failure.code === failure.code ? known.since : clock.now() })
  }

  const folds: { [T in Event['type']]?: (event: EventOf<T>) => void } = {
    'daemon.starting': (event) => {
      version = event.version
    },
    'config.loaded': (event) => {
      problems.delete('configuration')
      const wanted = new Set(event.profiles.map((profile) => profile.name))
      for (const name of profiles.keys()) if (!wanted.has(name)) forget(name)
      for (const { name, required, roleArn, method, identity } of event.profiles) {
        const known = profiles.get(name)
        profiles.set(name, {
          required,
          roleArn,
          method,
          identity,
          held: known?.held,
          dropped: known?.dropped ?? false,
          succeeded: known?.succeeded ?? 0,
          failed: known?.failed ?? 0,
        })
      }
      hasStarted()
      const used = new Set(event.identities)
      for (const name of used) identityOf(name)
      for (const name of identities.keys()) if (!used.has(name)) forgetIdentity(name)
    },
    'config.reload_failed': (event) => trouble('configuration', 'configuration', event.failure),
    'listener.opened': (event) => listeners.set(event.listener, event.address),
    'listener.closed': (event) => listeners.delete(event.listener),
    'identity.connected': (event) => {
      identityOf(event.identity).connected = true
    },
    'identity.disconnected': (event) => {
      // A token that could not be had does not cover an X.509 stream that is open.
      const known = identityOf(event.identity)
      if (event.stream === 'x509' || known.facts.serial === undefined) known.connected = false
    },
    'identity.failing': (event) => trouble(`identity ${event.identity} ${event.stream}`, `identity ${event.identity}`, event.failure),
    'identity.recovered': (event) => {
      problems.delete(`identity ${event.identity} ${event.stream}`)
      identityOf(event.identity).status = 'ready'
    },
    'identity.withdrawn': (event) => {
      identityOf(event.identity).status = 'withdrawn'
      trouble(`identity ${event.identity} ${event.stream}`, `identity ${event.identity}`, event.failure)
    },
    'x509.updated': ({ identity, spiffeId, serial, notAfter }) =>
      Object.assign(identityOf(identity), { status: 'ready', facts: { spiffeId, serial, notAfter } }),
    'jwt.fetched': ({ identity, spiffeId }) => {
      const known = identityOf(identity)
      Object.assign(known, { status: 'ready', connected: true, facts: { ...known.facts, spiffeId } })
    },
    'exchange.succeeded': ({ profile }) => {
      problems.delete(`profile ${profile}`)
      const known = profiles.get(profile)
      if (known !== undefined) known.succeeded++
    },
    'exchange.failed': ({ profile, failure }) => {
      trouble(`profile ${profile}`, `profile ${profile}`, failure)
      const known = profiles.get(profile)
      if (known !== undefined) known.failed++
    },
    'credentials.fresh': (event) => {
      const known = profiles.get(event.profile)
      if (known !== undefined) Object.assign(known, { held: event, dropped: false })
      hasStarted()
    },
    'credentials.forgotten': ({ profile }) => {
      const known = profiles.get(profile)
      if (known !== undefined) Object.assign(known, { held: undefined, dropped: false })
      problems.delete(`profile ${profile}`)
    },
    'credentials.dropped': ({ profile }) => {
      const known = profiles.get(profile)
      if (known !== undefined) Object.assign(known, { dropped: true })
    },
  }

  // Kept when it happens and not when somebody asks: credentials that came and went count as having been there.
  function hasStarted(): void {
    started ||= profiles.size > 0 && [...profiles.values()].every((profile) => !profile.required || profile.held !== undefined)
  }

  function forget(name: string): void {
    profiles.delete(name)
    problems.delete(`profile ${name}`)
  }
  function forgetIdentity(name: string): void {
    identities.delete(name)
    for (const key of problems.keys()) if (key.startsWith(`identity ${name} `)) problems.delete(key)
  }

  const alive = (profile: Profile): boolean => profile.held !== undefined && !profile.dropped && clock.boot() < profile.held.deadline
  const health = (): HealthReport => {
    const missing = [...profiles].filter(([, profile]) => profile.required && !alive(profile)).map(([name]) => name)
    return { ready: profiles.size > 0 && missing.length === 0, started, missing }
  }

  return {
    listener: (event) => (folds[event.type] as ((event: Event) => void) | undefined)?.(event),
    health,
    status: () => ({
      ...health(),
      version,
      now: iso(clock.now()),
      pid: process.pid,
      identities: [...identities].map(([name, { status, connected, facts }]) => ({
        name,
        status,
        connected,
        ...(facts.spiffeId === '' ? {} : { spiffeId: facts.spiffeId }),
        ...(facts.serial === undefined ? {} : { serial: facts.serial }),
        ...(facts.notAfter === undefined ? {} : { notAfter: iso(facts.notAfter) }),
      })),
      profiles: [...profiles].map(([name, profile]) => profileReport(name, profile, alive(profile), clock)),
      listeners: Object.fromEntries(listeners),
      // Two streams of one agent that is away are one problem.
      problems: [...new Map([...problems.values()].map((one) => [`${one.subject} ${one.failure.message}`, one])).values()].map(
        ({ subject, failure, since }): Problem => {
          const { code, message, remedy } = failure
          return { subject, code, message, remedy, since: iso(since), runbook: `docs/errors.md#${code}` }
        },
      ),
    }),
  }
}

function profileReport(name: string, profile: Profile, alive: boolean, clock: Clock): ProfileReport {
  const { required, identity, method, roleArn, held, succeeded, failed } = profile
  const base = { name, required, identity, method, roleArn, exchanges: { succeeded, failed } }
  if (held === undefined || profile.dropped) return { ...base, status: 'empty' }
  if (!alive) return { ...base, status: 'expired', expiration: iso(held.expiresAt) }
  const now = clock.boot()
  return {
    ...base,
    status: now < held.refreshAt ? 'fresh' : 'stale',
    accessKeyId: held.accessKeyId,
    expiration: iso(held.expiresAt),
    remainingSeconds: Math.floor((held.deadline - now) / 1000),
    nextRefresh: iso(clock.now() + Math.max(0, held.refreshAt - now)),
  }
}
